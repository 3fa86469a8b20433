#include "nn/ops/losses.h"

#include "nn/kernels/launch.h"
#include "nn/kernels/squared_error.h"
#include "nn/ops/check.h"

namespace retape::nn {

Outputs MeanSquaredError::forward(Context& context, const Args& /*args*/, const Inputs& inputs) {
  const Tensor& x = inputs[kX];
  const Tensor& target = inputs[kTarget];
  expect_floating("mean_squared_error", "x", x);
  expect_elements("mean_squared_error", "x", x);
  expect_shape("mean_squared_error", "target", target, x.shape());
  expect_dtype("mean_squared_error", "target", target, x.dtype());
  const Tensor loss(context.device(), Shape{}, DType::f32, context.output_tag());
  launch_with_workspace(
      context,
      MeanSquaredErrorForward{
          .a = x.data(), .b = target.data(), .loss = loss.data_as<float>(), .elems = x.elems(), .dtype = x.dtype()});
  return {loss};
}

void MeanSquaredError::backward(Context& context, const Args& /*args*/, const Saved& saved, Gradients& gradients) {
  for (const int input : {kX, kTarget}) {
    if (!gradients.wants(input)) {
      continue;
    }
    const Tensor& of = saved.inputs[static_cast<std::size_t>(input)];
    const Tensor& other = saved.inputs[input == kX ? kTarget : kX];
    const GradSink gradient = gradients.sink(input);
    launch(context, MeanSquaredErrorBackward{.a = of.data(),
                                             .b = other.data(),
                                             .dloss = gradients.dout(0).data_as<float>(),
                                             .da = gradient.tensor.data(),
                                             .elems = of.elems(),
                                             .accumulate = gradient.accumulate,
                                             .dtype = of.dtype(),
                                             .da_dtype = gradient.tensor.dtype()});
  }
}

Cost MeanSquaredError::cost(const Args& /*args*/, std::span<const Shape> inputs) {
  return {.flops = 3 * inputs[kX].elems(), .bytes = 2 * inputs[kX].elems() * size_of(DType::f32)};
}

Var mean_squared_error(Tape& tape, Var x, Var target, std::string_view name) {
  return tape.run<MeanSquaredError>({}, {std::move(x), std::move(target)}, name);
}

}  // namespace retape::nn
