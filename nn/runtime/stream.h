// Work of a device that is done in order, and points in that order that others wait for.
//
// The rule for memory. Blocks are allocated and freed by the thread that computes, in the order of the computing
// stream, at points that no timing moves. A side stream may therefore touch a block only between these two:
//
//   it waits for the computing stream where the block was allocated: kernels that used the memory before may still run
//   the computing stream waits for it before the block goes
//
// Streams belong to one rank and its thread. What they work on outlives it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "nn/base/units.h"

namespace retape::nn {

// A point in a stream's order, as a backend has it.
class EventState {
 public:
  virtual ~EventState() = default;
  // The host waits until it is reached. Throws what the first task to fail threw, if that came before it.
  virtual void synchronize() const = 0;
  // The same without asking whether it went well.
  virtual void finish() const noexcept = 0;
  virtual bool is_reached_within(std::chrono::milliseconds patience) const noexcept = 0;
  // When it was reached, on a clock that all events of the device share. It has been.
  virtual std::chrono::nanoseconds time() const = 0;
};

// A copy is the same point. One that nobody recorded is reached.
class Event {
 public:
  Event() = default;
  explicit Event(std::shared_ptr<const EventState> state) : state_(std::move(state)) {}

  void synchronize() const {
    if (state_ != nullptr) {
      state_->synchronize();
    }
  }
  void finish() const noexcept {
    if (state_ != nullptr) {
      state_->finish();
    }
  }
  bool is_reached_within(std::chrono::milliseconds patience) const noexcept {
    return state_ == nullptr || state_->is_reached_within(patience);
  }
  // Between two points of one device, both of them reached; zero where one was not recorded.
  static std::chrono::nanoseconds between(const Event& from, const Event& to) {
    return from.state_ == nullptr || to.state_ == nullptr ? std::chrono::nanoseconds(0)
                                                          : to.state_->time() - from.state_->time();
  }

 private:
  std::shared_ptr<const EventState> state_;
};

class Stream {
 public:
  // Host work: a collective of ranks that are threads, say. It neither allocates nor frees memory of a device.
  using Task = std::function<void()>;

  virtual ~Stream() = default;  // when all of its work is done
  // What comes after starts when the event has been reached. Throws, where that is known by then, what the first task
  // to fail before the event threw.
  virtual void wait(const Event& event) = 0;
  // Reached when all that came before is done.
  virtual Event record() = 0;

  // Tasks run in order. The first that throws ends the stream: those after it do not run, since they may read what it
  // left unfinished.
  virtual void run(Task task) = 0;
  // Between memory of the device, of the host, or of both.
  virtual void copy(void* to, const void* from, Bytes bytes) = 0;
  virtual void fill_zero(void* memory, Bytes bytes) = 0;
};

}  // namespace retape::nn
