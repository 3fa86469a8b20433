// The gradients of parameters are f32, whatever dtype the op computes in.
#pragma once

#include "nn/autograd/gradients.h"

namespace retape::nn {

// Where an op writes the gradient of a parameter; null where it is not wanted.
struct ParameterGradient {
  float* data = nullptr;
  bool accumulate = false;
};

inline ParameterGradient parameter_gradient(Gradients& gradients, int input) {
  if (!gradients.wants(input)) {
    return {};
  }
  const GradSink sink = gradients.sink(input, DType::f32);
  return {sink.tensor.data_as<float>(), sink.accumulate};
}

}  // namespace retape::nn
