#include "nn/ops/activations.h"

#include "nn/kernels/launch.h"
#include "nn/ops/check.h"

namespace retape::nn {

template <ActivationKind kKind>
Outputs Activation<kKind>::forward(Context& context, const Args& /*args*/, const Inputs& inputs) {
  const Tensor& x = Checked(kTraits.name, "x", inputs[kX]).floating().not_empty();
  const Tensor y = make_output(context, x.shape(), x.dtype());
  launch(context,
         ActivationForward{.kind = kKind, .x = x.data(), .y = y.data(), .elems = x.elems(), .dtype = x.dtype()});
  return {y};
}

template <ActivationKind kKind>
void Activation<kKind>::backward(Context& context, const Args& /*args*/, const Saved& saved, Gradients& gradients) {
  const Tensor& y = saved.outputs[kY];
  const GradSink dx = gradients.sink(kX);
  launch(context, ActivationBackward{.kind = kKind,
                                     .y = y.data(),
                                     .dy = gradients.dout(kY).data(),
                                     .dx = dx.tensor.data(),
                                     .elems = y.elems(),
                                     .accumulate = dx.accumulate,
                                     .dtype = y.dtype(),
                                     .dx_dtype = dx.tensor.dtype()});
}

template <ActivationKind kKind>
Cost Activation<kKind>::cost(const Args& /*args*/, std::span<const Shape> inputs) {
  const Flops flops_per_elem = kKind == ActivationKind::relu ? 1 : 4;
  return {.flops = flops_per_elem * inputs[kX].elems(), .bytes = 2 * inputs[kX].elems() * size_of(DType::f32)};
}

template struct Activation<ActivationKind::relu>;
template struct Activation<ActivationKind::tanh>;
template struct Activation<ActivationKind::sigmoid>;

Var relu(Tape& tape, Var x, std::string_view name) {
  return tape.run<Activation<ActivationKind::relu>>({}, {std::move(x)}, name);
}

Var tanh(Tape& tape, Var x, std::string_view name) {
  return tape.run<Activation<ActivationKind::tanh>>({}, {std::move(x)}, name);
}

Var sigmoid(Tape& tape, Var x, std::string_view name) {
  return tape.run<Activation<ActivationKind::sigmoid>>({}, {std::move(x)}, name);
}

}  // namespace retape::nn
