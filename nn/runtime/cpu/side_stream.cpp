#include "nn/runtime/cpu/side_stream.h"

#include <exception>
#include <system_error>
#include <utility>

#include "nn/base/error.h"
#include "nn/runtime/cpu/host_stream.h"

namespace retape::nn::cpu {
namespace {

std::chrono::nanoseconds now() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

}  // namespace

// How far the worker has come.
struct SideStream::Progress {
  std::mutex mutex;
  std::condition_variable advanced;
  std::int64_t done = 0;  // tasks
  std::exception_ptr failure;
  std::int64_t failed = 0;                            // the task that threw it, counted from 1
  std::deque<std::shared_ptr<const Point>> recorded;  // points that are not reached yet, in order
};

// Reached when `after` tasks are done.
class SideStream::Point final : public EventState {
 public:
  Point(std::shared_ptr<Progress> progress, std::int64_t after) : progress_(std::move(progress)), after_(after) {}

  void synchronize() const override {
    std::unique_lock lock(progress_->mutex);
    progress_->advanced.wait(lock, [this] { return is_reached(); });
    if (progress_->failure != nullptr && progress_->failed <= after_) {
      std::rethrow_exception(progress_->failure);
    }
  }
  void finish() const noexcept override {
    std::unique_lock lock(progress_->mutex);
    progress_->advanced.wait(lock, [this] { return is_reached(); });
  }
  bool is_reached_within(std::chrono::milliseconds patience) const noexcept override {
    std::unique_lock lock(progress_->mutex);
    return progress_->advanced.wait_for(lock, patience, [this] { return is_reached(); });
  }
  std::chrono::nanoseconds time() const override {
    const std::lock_guard lock(progress_->mutex);
    return time_;
  }

  // With the lock held.
  bool is_reached() const { return progress_->done >= after_; }
  void note_time() const { time_ = now(); }

 private:
  std::shared_ptr<Progress> progress_;
  std::int64_t after_;
  mutable std::chrono::nanoseconds time_{0};
};

SideStream::SideStream() : progress_(std::make_shared<Progress>()) {}

SideStream::~SideStream() {
  if (!worker_.joinable()) {
    return;
  }
  {
    const std::lock_guard lock(progress_->mutex);
    closing_ = true;
  }
  submitted_.notify_one();
  worker_.join();
}

void SideStream::start_worker() {
  try {
    worker_ = std::thread([this] { work(); });
  } catch (const std::system_error& error) {
    fail("[transfer] the thread for copies cannot be started: {}", error.code().message());
  }
}

void SideStream::run(Task task) {
  if (!worker_.joinable()) {
    start_worker();
  }
  const std::lock_guard lock(progress_->mutex);
  tasks_.push_back(std::move(task));
  ++count_;
  submitted_.notify_one();
}

void SideStream::copy(void* to, const void* from, Bytes bytes) {
  run([to, from, bytes] { HostStream().copy(to, from, bytes); });
}

void SideStream::fill_zero(void* memory, Bytes bytes) {
  run([memory, bytes] { HostStream().fill_zero(memory, bytes); });
}

void SideStream::wait(const Event& event) {
  if (!event.is_reached_within(std::chrono::milliseconds(0))) {
    run([event] { event.synchronize(); });
  }
}

Event SideStream::record() {
  const std::lock_guard lock(progress_->mutex);
  auto point = std::make_shared<const Point>(progress_, count_);
  if (point->is_reached()) {
    point->note_time();
  } else {
    progress_->recorded.push_back(point);
  }
  return Event(std::move(point));
}

void SideStream::work() {
  std::unique_lock lock(progress_->mutex);
  while (true) {
    submitted_.wait(lock, [this] { return closing_ || !tasks_.empty(); });
    if (tasks_.empty()) {
      return;
    }
    run_next(lock);
  }
}

void SideStream::run_next(std::unique_lock<std::mutex>& lock) {
  Task task = std::move(tasks_.front());
  tasks_.pop_front();
  const bool runs = progress_->failure == nullptr;
  lock.unlock();
  std::exception_ptr failure;
  if (runs) {
    try {
      task();
    } catch (...) {
      failure = std::current_exception();
    }
  }
  task = nullptr;  // whoever waits may then let go of what it refers to
  lock.lock();
  ++progress_->done;
  if (failure != nullptr) {
    progress_->failed = progress_->done;
    progress_->failure = std::move(failure);
  }
  while (!progress_->recorded.empty() && progress_->recorded.front()->is_reached()) {
    progress_->recorded.front()->note_time();
    progress_->recorded.pop_front();
  }
  progress_->advanced.notify_all();
}

}  // namespace retape::nn::cpu
