// A stream beside the computation of the processor: one worker thread takes its tasks in order.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "nn/runtime/stream.h"

namespace retape::nn::cpu {

class SideStream final : public Stream {
 public:
  SideStream();  // the worker starts with the first task
  ~SideStream() override;
  SideStream(const SideStream&) = delete;
  SideStream& operator=(const SideStream&) = delete;

  void wait(const Event& event) override;
  Event record() override;
  // Throws Error where the first task finds that the system has no thread for it.
  void run(Task task) override;
  void copy(void* to, const void* from, Bytes bytes) override;
  void fill_zero(void* memory, Bytes bytes) override;

 private:
  class Point;
  struct Progress;

  void start_worker();
  void work();
  void run_next(std::unique_lock<std::mutex>& lock);

  std::shared_ptr<Progress> progress_;  // its points share it, and may outlive the stream
  std::condition_variable submitted_;
  std::deque<Task> tasks_;
  std::int64_t count_ = 0;  // of all tasks so far
  bool closing_ = false;
  std::thread worker_;
};

}  // namespace retape::nn::cpu
