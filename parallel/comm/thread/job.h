// What the thread ranks of one run_ranks share: whether they still go on, and whom to wake when they do not.
#pragma once

#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace retape::parallel {

// One mutex and one condition serve all groups of a job: a failure anywhere wakes everybody, and ranks are few.
class Job {
 public:
  using Lock = std::unique_lock<std::mutex>;

  Job(int ranks, std::chrono::milliseconds timeout) : timeout_(timeout), ended_(static_cast<std::size_t>(ranks)) {}

  std::chrono::milliseconds timeout() const { return timeout_; }
  Lock lock() { return Lock(mutex_); }
  std::condition_variable& changed() { return changed_; }

  // The lock that these take shows that the caller holds the mutex.

  // The job fails for `cause`, unless it has failed already: the first failure is the one that counts.
  void fail(const Lock& held, std::string cause, std::exception_ptr exception = nullptr) noexcept;
  bool failed(const Lock& /*held*/) const { return failed_; }
  const std::string& cause(const Lock& /*held*/) const { return cause_; }

  // The rank's body is over: it will not come to any collective.
  void end(const Lock& held, int rank) noexcept;
  bool ended(const Lock& /*held*/, int rank) const { return ended_[static_cast<std::size_t>(rank)]; }

  // Throws the first failure, if there was one: the exception itself where a rank threw it, or else a CommError.
  void rethrow();

 private:
  const std::chrono::milliseconds timeout_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<bool> ended_;  // by rank
  bool failed_ = false;
  std::string cause_;
  std::exception_ptr exception_;  // of the rank that failed; null where no exception came first
};

}  // namespace retape::parallel
