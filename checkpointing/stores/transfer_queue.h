// Copies and collectives that run beside the computation: one worker thread takes them in order.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace retape::checkpointing {

// Tasks run one after another, in the order of submission. The first that throws ends the queue: those after it do not
// run, since they may read what it left unfinished.
//
// All functions are for one thread, the one that computes. A task must neither allocate nor free memory of a device, so
// what it works on has to outlive it.
class TransferQueue {
 public:
  using Task = std::function<void()>;
  using Ticket = std::int64_t;
  static constexpr Ticket kNothing = 0;  // a ticket that needs no waiting

  TransferQueue() = default;  // the worker starts with the first task
  ~TransferQueue();           // when all tasks are done
  TransferQueue(const TransferQueue&) = delete;
  TransferQueue& operator=(const TransferQueue&) = delete;

  // Throws Error where the first task finds that the system has no thread for it.
  Ticket submit(Task task);

  // Returns when the task and all before it are done: the time that it took, once; zero when asked again. Throws what
  // the first failing task threw, if that is this one or one before it.
  std::chrono::nanoseconds wait(Ticket ticket);

  // Waits without asking whether it went well, or how long it took.
  void finish(Ticket ticket) noexcept;
  bool finishes_within(std::chrono::milliseconds patience, Ticket ticket) noexcept;

  // Waits for all tasks; throws as wait() does.
  void drain();

 private:
  void start_worker();
  void work();
  void run_next(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable submitted_;
  std::condition_variable finished_;
  std::deque<Task> tasks_;  // the last of them has the ticket `last_`
  Ticket last_ = kNothing;
  Ticket done_ = kNothing;
  std::map<Ticket, std::chrono::nanoseconds> times_;  // of done tasks that nobody waited for yet
  Ticket failed_ = kNothing;                          // the task that threw `failure_`
  std::exception_ptr failure_;
  bool closing_ = false;
  std::thread worker_;
};

}  // namespace retape::checkpointing
