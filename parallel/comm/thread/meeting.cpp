#include "parallel/comm/thread/meeting.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "nn/base/error.h"

namespace retape::parallel {
namespace {

bool same(const Call& a, const Call& b) {
  return a.name == b.name && a.bytes == b.bytes && a.root == b.root;
}

std::string describe(const Call& call) {
  std::string text(call.name);
  if (call.name != "barrier") {
    text += fmt::format(" of {} bytes", call.bytes);
  }
  if (call.root >= 0) {
    text += fmt::format(" from root {}", call.root);
  }
  return text;
}

}  // namespace

Meeting::Meeting(std::shared_ptr<Job> job, std::vector<int> ranks)
    : job_(std::move(job)), ranks_(std::move(ranks)), calls_(ranks_.size()), entered_(ranks_.size()) {}

void Meeting::enter(int member, const Call& call) {
  const auto deadline = std::chrono::steady_clock::now() + job_->timeout();
  const auto self = static_cast<std::size_t>(member);
  Job::Lock lock = job_->lock();
  if (job_->failed(lock)) {
    throw_failure(lock, member, call);
  }
  check_same(lock, member, call);
  calls_[self] = call;
  entered_[self] = true;
  if (++entered_count_ == size()) {
    entered_.assign(entered_.size(), false);
    entered_count_ = 0;
    ++meetings_;
    job_->changed().notify_all();
    return;
  }
  bool in_time = true;
  for (const std::uint64_t before = meetings_; meetings_ == before;) {
    if (job_->failed(lock)) {
      throw_failure(lock, member, call);
    }
    if (const std::optional<int> gone = missing_for_good(lock)) {
      fail_job(lock, member, call,
               fmt::format("rank {} waits in {} for rank {}, which has ended", ranks_[self], describe(call), *gone));
    }
    if (!in_time) {
      fail_job(lock, member, call,
               fmt::format("rank {} waited {} ms in {} for {}", ranks_[self], job_->timeout().count(), describe(call),
                           missing()));
    }
    in_time = job_->changed().wait_until(lock, deadline) == std::cv_status::no_timeout;
  }
}

void Meeting::step() {
  Job::Lock lock = job_->lock();
  if (++stepped_count_ == size()) {
    stepped_count_ = 0;
    ++steps_;
    job_->changed().notify_all();
    return;
  }
  job_->changed().wait(lock, [this, before = steps_] { return steps_ != before; });
}

void Meeting::check_same(const Job::Lock& held, int member, const Call& call) {
  const int rank = ranks_[static_cast<std::size_t>(member)];
  if (entered_[static_cast<std::size_t>(member)]) {
    fail_job(held, member, call,
             fmt::format("rank {} uses one communicator on two threads at once: {} and {}", rank,
                         describe(calls_[static_cast<std::size_t>(member)]), describe(call)));
  }
  // Those who wait already call the same, so that one of them speaks for all.
  const auto waits = std::find(entered_.begin(), entered_.end(), true);
  if (waits == entered_.end()) {
    return;
  }
  const auto other = static_cast<std::size_t>(waits - entered_.begin());
  if (!same(calls_[other], call)) {
    fail_job(held, member, call,
             fmt::format("the ranks disagree: rank {} calls {}, rank {} calls {}", ranks_[other],
                         describe(calls_[other]), rank, describe(call)));
  }
}

std::optional<int> Meeting::missing_for_good(const Job::Lock& held) const {
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    if (!entered_[i] && job_->ended(held, ranks_[i])) {
      return ranks_[i];
    }
  }
  return std::nullopt;
}

std::string Meeting::missing() const {
  std::vector<int> ranks;
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    if (!entered_[i]) {
      ranks.push_back(ranks_[i]);
    }
  }
  return fmt::format("rank{} {}", ranks.size() == 1 ? "" : "s", fmt::join(ranks, ", "));
}

void Meeting::fail_job(const Job::Lock& held, int member, const Call& call, std::string cause) {
  job_->fail(held, std::move(cause));
  throw_failure(held, member, call);
}

void Meeting::throw_failure(const Job::Lock& held, int member, const Call& call) const {
  fail<CommError>("[comm] {} of rank {} cannot complete: {}", call.name, ranks_[static_cast<std::size_t>(member)],
                  Whole{job_->cause(held)});
}

}  // namespace retape::parallel
