#include "nn/ops/softmax.h"

#include "nn/kernels/launch.h"
#include "nn/kernels/softmax.h"
#include "nn/ops/check.h"

namespace retape::nn {

template <bool kLogarithm>
Outputs Softmax<kLogarithm>::forward(Context& context, const Args& /*args*/, const Inputs& inputs) {
  const Tensor& x = Checked(kTraits.name, "x", inputs[kX]).floating().an_axis().not_empty();
  const Tensor y = make_output(context, x.shape(), x.dtype());
  launch(context, SoftmaxForward{.x = x.data(),
                                 .y = y.data(),
                                 .rows = x.shape().rows(),
                                 .columns = x.shape().back(),
                                 .logarithm = kLogarithm,
                                 .dtype = x.dtype()});
  return {y};
}

template <bool kLogarithm>
void Softmax<kLogarithm>::backward(Context& context, const Args& /*args*/, const Saved& saved, Gradients& gradients) {
  const Tensor& y = saved.outputs[kY];
  const GradSink dx = gradients.sink(kX);
  launch(context, SoftmaxBackward{.y = y.data(),
                                  .dy = gradients.dout(kY).data(),
                                  .dx = dx.tensor.data(),
                                  .rows = y.shape().rows(),
                                  .columns = y.shape().back(),
                                  .logarithm = kLogarithm,
                                  .accumulate = dx.accumulate,
                                  .dtype = y.dtype(),
                                  .dx_dtype = dx.tensor.dtype()});
}

template <bool kLogarithm>
Cost Softmax<kLogarithm>::cost(const Args& /*args*/, std::span<const Shape> inputs) {
  const Elems elems = inputs[kX].elems();
  return {.flops = 8 * elems, .bytes = 2 * elems * size_of(DType::f32)};
}

template struct Softmax<false>;
template struct Softmax<true>;

Var softmax(Tape& tape, Var x, std::string_view name) {
  return tape.run<Softmax<false>>({}, {std::move(x)}, name);
}

Var log_softmax(Tape& tape, Var x, std::string_view name) {
  return tape.run<Softmax<true>>({}, {std::move(x)}, name);
}

}  // namespace retape::nn
