// Small maps and sums over whole arrays.
#pragma once

#include <cstdint>

#include "nn/base/units.h"
#include "nn/tensor/dtype.h"

namespace retape::nn {

// out = a + b, in f32, rounded once. out may be a or b.
struct Add {
  const void* a = nullptr;
  const void* b = nullptr;
  void* out = nullptr;
  Elems elems = 0;
  DType dtype = DType::f32;
};

// out = factor x, added to what is there where `accumulate`, in f32, rounded once; factor times *times where that is
// given. out may be x. x and out may differ in dtype.
struct Scale {
  const void* x = nullptr;
  void* out = nullptr;
  Elems elems = 0;
  float factor = 1;
  const float* times = nullptr;  // one element, or null
  bool accumulate = false;
  DType in = DType::f32;
  DType out_dtype = DType::f32;
};

// sums[c] = sum over rows of x[r, c], added to what is there where `accumulate`.
struct ColumnSum {
  const void* x = nullptr;  // [rows, columns] dtype
  float* sums = nullptr;    // [columns]
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  bool accumulate = false;
  DType dtype = DType::f32;
  void* workspace = nullptr;
};

// *out = factor times the mean of x, in f64 in one order for all thread counts, rounded once.
struct ScaledMean {
  const float* x = nullptr;
  float* out = nullptr;  // one element
  Elems elems = 0;
  float factor = 1;
};

// *sum = sum of x^2, in f64, one order for all thread counts.
struct SumOfSquares {
  const float* x = nullptr;
  double* sum = nullptr;  // one element
  Elems elems = 0;
};

}  // namespace retape::nn
