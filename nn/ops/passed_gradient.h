// The gradient of an input of which the output is a copy, but for its shape.
#pragma once

#include "nn/autograd/gradients.h"
#include "nn/kernels/elementwise.h"
#include "nn/kernels/launch.h"

namespace retape::nn {

// Gives the input `dout`: itself, or converted where the input's gradient is summed in another dtype.
inline void pass_on(Context& context, Gradients& gradients, int input, const Tensor& dout) {
  if (gradients.dtype(input) == dout.dtype()) {
    gradients.give(input, dout.reshaped(gradients.shape(input)));
    return;
  }
  const GradSink gradient = gradients.sink(input);
  launch(context, Scale{.x = dout.data(),
                        .out = gradient.tensor.data(),
                        .elems = dout.elems(),
                        .accumulate = gradient.accumulate,
                        .in = dout.dtype(),
                        .out_dtype = gradient.tensor.dtype()});
}

}  // namespace retape::nn
