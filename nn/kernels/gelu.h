// GELU in its tanh form: y = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) (Hendrycks and Gimpel 2016,
// arXiv:1606.08415).
#pragma once

#include <cstdint>

#include "nn/base/units.h"
#include "nn/tensor/dtype.h"

namespace retape::nn {

struct GeluForward {
  const void* x = nullptr;  // [elems] dtype
  void* y = nullptr;        // [elems] dtype
  Elems elems = 0;
  DType dtype = DType::f32;
};

// dx = dy * gelu'(x), and the sums of dx over rows, which are the gradient of a bias that was added to make x.
struct GeluBackward {
  const void* x = nullptr;   // [rows, columns] dtype
  const void* dy = nullptr;  // [rows, columns] dtype
  void* dx = nullptr;        // [rows, columns] dtype; may be dy
  float* dbias = nullptr;    // [columns], of the rounded dx; null where it is not wanted
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  bool accumulate_dbias = false;
  DType dtype = DType::f32;
  void* workspace = nullptr;
};

}  // namespace retape::nn
