// Sums and means of rows, and their gradient.
#pragma once

#include <cstdint>

#include "nn/base/units.h"
#include "nn/tensor/dtype.h"

namespace retape::nn {

// out[r] = (the sum over c of x[r, c]) / divisor, in f64, rounded once.
struct RowSum {
  const void* x = nullptr;  // [rows, columns] dtype
  void* out = nullptr;      // [rows] out_dtype
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  double divisor = 1;
  DType dtype = DType::f32;
  DType out_dtype = DType::f32;
  void* workspace = nullptr;
};

// out[r, c] = x[r] / divisor, added to what is there where `accumulate`.
struct RowSpread {
  const void* x = nullptr;  // [rows] dtype
  void* out = nullptr;      // [rows, columns] out_dtype
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  double divisor = 1;
  bool accumulate = false;
  DType dtype = DType::f32;
  DType out_dtype = DType::f32;
};

}  // namespace retape::nn
