// Matrix products, accumulated in f32.
#pragma once

#include <cstdint>

#include "nn/base/units.h"
#include "nn/tensor/dtype.h"

namespace retape::nn {

// c [m, n] = a' b' + bias, or c += a' b' where `accumulate`; a' is a [m, k], or the transpose of a [k, m]; b' likewise
// [k, n].
struct Matmul {
  const void* a = nullptr;
  const void* b = nullptr;
  void* c = nullptr;
  const void* bias = nullptr;  // [n] of `in`, or null; not with `accumulate`
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  bool transpose_a = false;
  bool transpose_b = false;
  bool accumulate = false;
  DType in = DType::f32;   // a, b, bias: f32 or bf16
  DType out = DType::f32;  // c: f32, or the dtype of a and b
  void* workspace = nullptr;
};

}  // namespace retape::nn
