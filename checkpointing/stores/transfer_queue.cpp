#include "checkpointing/stores/transfer_queue.h"

#include <system_error>
#include <utility>

#include "nn/base/error.h"

namespace retape::checkpointing {

TransferQueue::~TransferQueue() {
  if (!worker_.joinable()) {
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  submitted_.notify_one();
  worker_.join();
}

void TransferQueue::start_worker() {
  try {
    worker_ = std::thread([this] { work(); });
  } catch (const std::system_error& error) {
    fail("[transfer] the thread for copies cannot be started: {}", error.code().message());
  }
}

TransferQueue::Ticket TransferQueue::submit(Task task) {
  if (!worker_.joinable()) {
    start_worker();
  }
  const std::lock_guard lock(mutex_);
  tasks_.push_back(std::move(task));
  submitted_.notify_one();
  return ++last_;
}

std::chrono::nanoseconds TransferQueue::wait(Ticket ticket) {
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [&] { return done_ >= ticket; });
  const auto entry = times_.extract(ticket);
  if (failure_ != nullptr && failed_ <= ticket) {
    std::rethrow_exception(failure_);
  }
  return entry.empty() ? std::chrono::nanoseconds(0) : entry.mapped();
}

void TransferQueue::finish(Ticket ticket) noexcept {
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [&] { return done_ >= ticket; });
  times_.erase(ticket);
}

bool TransferQueue::finishes_within(std::chrono::milliseconds patience, Ticket ticket) noexcept {
  std::unique_lock lock(mutex_);
  return finished_.wait_for(lock, patience, [&] { return done_ >= ticket; });
}

void TransferQueue::drain() {
  wait(last_);
  const std::lock_guard lock(mutex_);
  times_.clear();
}

void TransferQueue::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    submitted_.wait(lock, [this] { return closing_ || !tasks_.empty(); });
    if (tasks_.empty()) {
      return;
    }
    run_next(lock);
  }
}

void TransferQueue::run_next(std::unique_lock<std::mutex>& lock) {
  Task task = std::move(tasks_.front());
  tasks_.pop_front();
  const bool runs = failure_ == nullptr;
  lock.unlock();
  std::exception_ptr failure;
  const auto start = std::chrono::steady_clock::now();
  if (runs) {
    try {
      task();
    } catch (...) {
      failure = std::current_exception();
    }
  }
  const auto time = std::chrono::steady_clock::now() - start;
  task = nullptr;  // whoever waits may then let go of what it refers to
  lock.lock();
  ++done_;
  if (runs) {
    times_.emplace(done_, time);
  }
  if (failure != nullptr) {
    failed_ = done_;
    failure_ = std::move(failure);
  }
  finished_.notify_all();
}

}  // namespace retape::checkpointing
