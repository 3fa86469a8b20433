// Thread ranks for tests: what each rank returned, or how it failed.
#pragma once

#include <chrono>
#include <exception>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "parallel/comm/thread/ranks.h"

namespace retape::parallel::testing {

// A test that hangs should say so soon.
inline constexpr std::chrono::seconds kTestTimeout{60};

// What body(communicator) returned on each rank, in rank order. Rethrows the first failure.
template <class Body>
auto on_ranks(int ranks, Body body) {
  using Result = std::invoke_result_t<Body, Communicator&>;
  static_assert(!std::is_same_v<Result, bool>, "ranks may not write neighbouring bits at once");
  std::vector<Result> results(static_cast<std::size_t>(ranks));
  run_ranks(
      ranks,
      [&](Communicator& communicator) { results[static_cast<std::size_t>(communicator.rank())] = body(communicator); },
      kTestTimeout);
  return results;
}

struct Failures {
  std::string first;               // what run_ranks threw; empty where it did not
  std::vector<std::string> ranks;  // what each rank threw, in rank order; empty where it did not
};

// For bodies of which some are to fail with a std::exception.
template <class Body>
Failures failures_of(int ranks, Body body, std::chrono::milliseconds timeout = kTestTimeout) {
  Failures failures{.first = {}, .ranks = std::vector<std::string>(static_cast<std::size_t>(ranks))};
  try {
    run_ranks(
        ranks,
        [&](Communicator& communicator) {
          try {
            body(communicator);
          } catch (const std::exception& error) {
            failures.ranks[static_cast<std::size_t>(communicator.rank())] = error.what();
            throw;
          }
        },
        timeout);
  } catch (const std::exception& error) {
    failures.first = error.what();
  }
  return failures;
}

}  // namespace retape::parallel::testing
