#include <memory>
#include <vector>

#include "parallel/comm/communicator.h"
#include "parallel/comm/thread/communicator.h"
#include "parallel/comm/thread/ranks.h"

namespace retape::parallel {

// A thread rank that has nobody to wait for.
std::unique_ptr<Communicator> open_self() {
  auto job = std::make_shared<Job>(1, kRanksTimeout);
  return std::make_unique<ThreadCommunicator>(std::make_shared<Meeting>(std::move(job), std::vector{0}), 0);
}

}  // namespace retape::parallel
