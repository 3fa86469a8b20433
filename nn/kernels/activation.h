// Activations that are differentiated from their output.
#pragma once

#include <cstdint>

#include "nn/base/units.h"
#include "nn/tensor/dtype.h"

namespace retape::nn {

// relu: max(x, 0). tanh. sigmoid: 1 / (1 + e^-x). A NaN stays one.
enum class ActivationKind : std::uint8_t { relu, tanh, sigmoid };

struct ActivationForward {
  ActivationKind kind = ActivationKind::relu;
  const void* x = nullptr;  // [elems] dtype
  void* y = nullptr;        // [elems] dtype; may be x
  Elems elems = 0;
  DType dtype = DType::f32;
};

// dx = dy times the slope: [y > 0], 1 - y^2, y (1 - y).
struct ActivationBackward {
  ActivationKind kind = ActivationKind::relu;
  const void* y = nullptr;   // [elems] dtype
  const void* dy = nullptr;  // [elems] dtype
  void* dx = nullptr;        // [elems] dx_dtype
  Elems elems = 0;
  bool accumulate = false;
  DType dtype = DType::f32;
  DType dx_dtype = DType::f32;
};

}  // namespace retape::nn
