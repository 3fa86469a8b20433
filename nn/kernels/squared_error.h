// The mean squared error of two arrays.
#pragma once

#include "nn/base/units.h"
#include "nn/tensor/dtype.h"

namespace retape::nn {

// *loss = mean of (a - b)^2, summed in f64.
struct MeanSquaredErrorForward {
  const void* a = nullptr;  // [elems] dtype
  const void* b = nullptr;  // [elems] dtype
  float* loss = nullptr;
  Elems elems = 0;
  DType dtype = DType::f32;
  void* workspace = nullptr;
};

// The gradient of a, 2 dloss (a - b) / elems. That of b is the same with a and b exchanged.
struct MeanSquaredErrorBackward {
  const void* a = nullptr;       // [elems] dtype
  const void* b = nullptr;       // [elems] dtype
  const float* dloss = nullptr;  // one element
  void* da = nullptr;            // [elems] da_dtype
  Elems elems = 0;
  bool accumulate = false;
  DType dtype = DType::f32;
  DType da_dtype = DType::f32;
};

}  // namespace retape::nn
