// The elements of tensors as plain numbers, in which the ops of random programs compute.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "nn/autograd/gradients.h"
#include "nn/runtime/context.h"
#include "nn/tensor/tensor.h"

namespace retape::programs {

using Values = std::vector<float>;

// Of an f32 or bf16 tensor that computes. Writing rounds to its dtype.
Values read(const nn::Tensor& tensor);
void write(const nn::Tensor& tensor, const Values& values);

// A tensor of what make() returns.
template <class Make>
nn::Tensor made(nn::Context& context, const nn::Shape& shape, nn::DType dtype, const Make& make) {
  nn::Tensor tensor(context.device(), shape, dtype, context.output_tag());
  if (context.device().computes()) {
    write(tensor, make());
  }
  return tensor;
}

// Gives the gradient of input i where it is wanted.
template <class Make>
void give(nn::Context& context, nn::Gradients& gradients, int i, const Make& make) {
  if (!gradients.wants(i)) {
    return;
  }
  const nn::GradSink sink = gradients.sink(i);
  if (!context.device().computes()) {
    return;
  }
  Values values = make();
  if (sink.accumulate) {
    const Values before = read(sink.tensor);
    std::transform(before.begin(), before.end(), values.begin(), values.begin(), std::plus<>());
  }
  write(sink.tensor, values);
}

// f of each.
template <class F>
Values map(const Values& x, F f) {
  Values y(x.size());
  std::transform(x.begin(), x.end(), y.begin(), f);
  return y;
}

// f(a, b) where b is repeated or cut to the size of a.
template <class F>
Values zip(const Values& a, const Values& b, F f) {
  Values y(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    y[i] = f(a[i], b[i % b.size()]);
  }
  return y;
}

// What comes of gradients of b repeated: their sums, for each element of b.
Values fold(const Values& d, std::size_t size);

}  // namespace retape::programs
