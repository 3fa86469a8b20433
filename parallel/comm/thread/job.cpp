#include "parallel/comm/thread/job.h"

#include <utility>

#include "nn/base/error.h"

namespace retape::parallel {

void Job::fail(const Lock& /*held*/, std::string cause, std::exception_ptr exception) noexcept {
  if (!failed_) {
    failed_ = true;
    cause_ = std::move(cause);
    exception_ = std::move(exception);
    changed_.notify_all();
  }
}

void Job::end(const Lock& /*held*/, int rank) noexcept {
  ended_[static_cast<std::size_t>(rank)] = true;
  changed_.notify_all();
}

void Job::rethrow() {
  const Lock held = lock();
  if (exception_ != nullptr) {
    std::rethrow_exception(exception_);
  }
  require<CommError>(!failed_, "[comm] {}", Whole{cause_});
}

}  // namespace retape::parallel
