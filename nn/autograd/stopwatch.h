// Times one event of a tape for its observer; without one it reads no clock. Internal to nn/autograd.
#pragma once

#include "nn/autograd/observer.h"

namespace retape::nn::detail {

class Stopwatch {
 public:
  explicit Stopwatch(TapeObserver* observer) : observer_(observer) {
    if (observer_ != nullptr) {
      start_ = std::chrono::steady_clock::now();
    }
  }
  void report(TapeEvent::Work work, std::string_view op, const Region& region, Flops flops = 0) const {
    if (observer_ != nullptr) {
      observer_->on_event({.work = work,
                           .op = op,
                           .region = &region,
                           .flops = flops,
                           .time = std::chrono::steady_clock::now() - start_});
    }
  }

 private:
  TapeObserver* observer_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace retape::nn::detail
