// Ranks as threads of one process: for tests, race detection, and training without a launcher.
#pragma once

#include <chrono>
#include <functional>

#include "parallel/comm/communicator.h"

namespace retape::parallel {

inline constexpr std::chrono::milliseconds kRanksTimeout = std::chrono::minutes(10);

// Runs `body` once per rank, each on its own thread, and returns when all have ended.
//
// Where a rank throws, the collectives of the others throw CommError within moments, naming it, and the first exception
// is rethrown here as it was. Collectives also end with CommError where a rank
//   - returns while another waits for it,
//   - calls another collective, or the same with another size or root,
//   - lets another wait longer than `timeout`,
//   - aborts.
// A body that joins threads of its own while an exception passes calls abort() before, since they may wait for others.
// The communicator, and what was split from it, may outlive the call, but only to be destroyed.
void run_ranks(int ranks, const std::function<void(Communicator&)>& body,
               std::chrono::milliseconds timeout = kRanksTimeout);

}  // namespace retape::parallel
