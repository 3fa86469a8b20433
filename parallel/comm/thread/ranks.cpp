#include "parallel/comm/thread/ranks.h"

#include <fmt/format.h>

#include <exception>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "nn/base/error.h"
#include "parallel/comm/thread/communicator.h"

namespace retape::parallel {
namespace {

std::string_view first_line(std::string_view text) {
  return text.substr(0, text.find('\n'));
}

// To be called where an exception is handled.
std::string describe_current_exception() {
  try {
    throw;
  } catch (const std::exception& error) {
    return std::string(first_line(error.what()));
  } catch (...) {
    return "an unknown exception";
  }
}

void fail_with_current_exception(Job& job, int rank) noexcept {
  std::string cause;
  try {
    cause = fmt::format("rank {} failed: {}", rank, describe_current_exception());
  } catch (...) {  // with no memory for the words the job still ends
  }
  const Job::Lock held = job.lock();
  job.fail(held, std::move(cause), std::current_exception());
}

void run_rank(const std::shared_ptr<Meeting>& world, int rank, const std::function<void(Communicator&)>& body) {
  Job& job = *world->job();
  try {
    ThreadCommunicator communicator(world, rank);
    body(communicator);
  } catch (...) {
    fail_with_current_exception(job, rank);
  }
  const Job::Lock held = job.lock();
  job.end(held, rank);
}

std::jthread start_rank(const std::shared_ptr<Meeting>& world, int rank,
                        const std::function<void(Communicator&)>& body) {
  try {
    return std::jthread([&world, &body, rank] { run_rank(world, rank, body); });
  } catch (const std::system_error& error) {
    fail<CommError>("[comm] rank {}: its thread cannot be started: {}", rank, error.code().message());
  }
}

}  // namespace

void run_ranks(int ranks, const std::function<void(Communicator&)>& body, std::chrono::milliseconds timeout) {
  require<ConfigError>(ranks > 0, "[comm] ranks: expected at least 1, got {}", ranks);
  const auto job = std::make_shared<Job>(ranks, timeout);
  std::vector<int> all(static_cast<std::size_t>(ranks));
  std::iota(all.begin(), all.end(), 0);
  const auto world = std::make_shared<Meeting>(job, std::move(all));
  {
    std::vector<std::jthread> threads;
    threads.reserve(static_cast<std::size_t>(ranks));
    try {
      for (int rank = 0; rank < ranks; ++rank) {
        threads.push_back(start_rank(world, rank, body));
      }
    } catch (...) {  // the others wait for a rank that never comes
      fail_with_current_exception(*job, static_cast<int>(threads.size()));
    }
  }
  job->rethrow();
}

}  // namespace retape::parallel
