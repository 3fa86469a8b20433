// Softmax of rows, and its logarithm.
#pragma once

#include <cstdint>

#include "nn/base/units.h"
#include "nn/tensor/dtype.h"

namespace retape::nn {

// y[r, c] = e^x[r, c] / sum of e^x[r], or its logarithm where `logarithm`. A row becomes NaN where it has a NaN or an
// infinity, or nothing but negative infinities.
struct SoftmaxForward {
  const void* x = nullptr;  // [rows, columns] dtype
  void* y = nullptr;        // [rows, columns] dtype; may be x
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  bool logarithm = false;
  DType dtype = DType::f32;
};

// dx = y (dy - sum of y dy), or where `logarithm` dx = dy - e^y (sum of dy), for each row.
struct SoftmaxBackward {
  const void* y = nullptr;   // [rows, columns] dtype
  const void* dy = nullptr;  // [rows, columns] dtype
  void* dx = nullptr;        // [rows, columns] dx_dtype
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  bool logarithm = false;
  bool accumulate = false;
  DType dtype = DType::f32;
  DType dx_dtype = DType::f32;
};

}  // namespace retape::nn
