// Sees what a tape does, while it does it: for profiles, and for tests that count.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "nn/autograd/retention.h"

namespace retape::nn {

// One op run, one value given to a store or brought back, or one op differentiated.
struct TapeEvent {
  enum class Work : std::uint8_t { forward, save, rebuild, fetch, backward };
  Work work = Work::forward;
  std::string_view op;             // the op, or the one that made the value
  const Region* region = nullptr;  // the innermost around it, or around the reader of what is saved and fetched
  Flops flops = 0;                 // of forward and of a rebuild
  std::chrono::nanoseconds time{0};
};

// It must outlive the tape. What it throws ends the step as an op's failure does.
class TapeObserver {
 public:
  virtual ~TapeObserver() = default;
  virtual void on_event(const TapeEvent& event) = 0;
  // Forward is about to open or close the region, or backward comes from one region to the next.
  virtual void on_boundary(const Region& /*region*/) {}
};

}  // namespace retape::nn
