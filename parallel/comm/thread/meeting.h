// Where the thread ranks of one group meet for a collective.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nn/base/units.h"
#include "parallel/comm/thread/job.h"

namespace retape::parallel {

// What a rank calls, and the memory that it opens to the others for as long as the collective lasts.
struct Call {
  std::string_view name;
  Bytes bytes = 0;
  int root = -1;  // of a broadcast
  const void* data = nullptr;
};

// A collective is: enter; read what the others opened; step, once for each time that all must be done with something.
// It can fail in enter alone. So whoever is past it is there for all the steps, and nobody leaves the collective, and
// frees its memory, while another still reads there.
class Meeting {
 public:
  // ranks: of the job, in the order of the group's own ranks.
  Meeting(std::shared_ptr<Job> job, std::vector<int> ranks);

  int size() const { return static_cast<int>(ranks_.size()); }
  const std::vector<int>& ranks() const { return ranks_; }
  const std::shared_ptr<Job>& job() const { return job_; }

  // Waits until all members have entered the same call. Throws CommError where that will not be.
  void enter(int member, const Call& call);
  // Waits until all members have come to this step. Nothing that can throw may stand between enter and the last step.
  void step();
  // Between enter and the last step.
  const void* opened_by(int member) const { return calls_[static_cast<std::size_t>(member)].data; }

 private:
  // A rank that has not entered and has ended.
  std::optional<int> missing_for_good(const Job::Lock& held) const;
  // "rank 2", "ranks 0, 3": those who have not entered.
  std::string missing() const;
  // Fails the job unless it has failed, then throws on this rank.
  [[noreturn]] void fail_job(const Job::Lock& held, int member, const Call& call, std::string cause);
  [[noreturn]] void throw_failure(const Job::Lock& held, int member, const Call& call) const;
  void check_same(const Job::Lock& held, int member, const Call& call);

  std::shared_ptr<Job> job_;
  std::vector<int> ranks_;

  // Under the job's mutex; calls_ is also read without it, between enter and the last step, when nobody writes there.
  std::vector<Call> calls_;    // by member
  std::vector<bool> entered_;  // by member: waits in enter
  int entered_count_ = 0;
  int stepped_count_ = 0;
  std::uint64_t meetings_ = 0;  // how many times all have entered
  std::uint64_t steps_ = 0;     // how many times all have stepped
};

}  // namespace retape::parallel
