// The few numbers of a training step, which stay on the device until it ends.
#pragma once

#include <cstdint>

namespace retape::nn {

// *sum += *x.
struct AddToSum {
  const float* x = nullptr;  // one element
  double* sum = nullptr;     // one element
};

// *norm = the root of all sums, taken as the norm of their roots; *scale = min(1, limit / (norm + 1e-6)), 1 where limit
// is 0, and NaN where *loss or *norm is not finite.
struct ClipScale {
  const double* squares = nullptr;  // [count] each parameter's sum of squares
  const double* loss = nullptr;     // one element
  double* norm = nullptr;           // one element
  double* scale = nullptr;          // one element
  std::int64_t count = 0;
  double limit = 0;
};

}  // namespace retape::nn
