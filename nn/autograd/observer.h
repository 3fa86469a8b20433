// Sees what a tape does, while it does it: for profiles, and for tests that count.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "nn/autograd/retention.h"

namespace retape::nn {

// One op run, one value brought back, or one op differentiated.
struct TapeEvent {
  enum class Work : std::uint8_t { forward, rebuild, fetch, backward };
  Work work = Work::forward;
  std::string_view op;             // the op, or the one that made the value
  const Region* region = nullptr;  // the innermost around it
  Flops flops = 0;                 // of forward and of a rebuild that ran the whole op
  std::chrono::nanoseconds time{0};
};

// It must outlive the tape. What it throws ends the step as an op's failure does.
class TapeObserver {
 public:
  virtual ~TapeObserver() = default;
  virtual void on_event(const TapeEvent& event) = 0;
  // Forward has opened or is about to close the region, or backward comes from one region to the next.
  virtual void on_boundary(const Region& /*region*/) {}
};

}  // namespace retape::nn
