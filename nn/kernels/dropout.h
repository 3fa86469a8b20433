// Dropout and the sum with a residual. Masks are regenerated from RNG coordinates and never stored.
#pragma once

#include <cstdint>

#include "nn/base/units.h"
#include "nn/runtime/philox.h"
#include "nn/tensor/dtype.h"

namespace retape::nn {

// out = residual + dropout(x, p). Element e is dropped where rng.bits(e) < drop_threshold(p); the others grow by 1 / (1
// - p). The sum is taken in f32 and rounded once.
struct DropoutResidualForward {
  const void* x = nullptr;         // [elems] dtype
  const void* residual = nullptr;  // [elems] dtype, or null for none
  void* out = nullptr;             // [elems] dtype; may be x or residual
  Elems elems = 0;
  float p = 0;  // in [0, 1); 0 draws no bits
  RngRange rng;
  DType dtype = DType::f32;
};

// dx = mask * dout / (1 - p).
struct DropoutBackward {
  const void* dout = nullptr;  // [elems] dtype
  void* dx = nullptr;          // [elems] dtype; may be dout
  Elems elems = 0;
  float p = 0;
  RngRange rng;
  bool accumulate = false;
  DType dtype = DType::f32;
};

}  // namespace retape::nn
