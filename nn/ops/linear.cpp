#include "nn/ops/linear.h"

#include "nn/kernels/elementwise.h"
#include "nn/kernels/gelu.h"
#include "nn/kernels/launch.h"
#include "nn/kernels/matmul.h"
#include "nn/ops/check.h"
#include "nn/ops/parameter_gradient.h"

namespace retape::nn {
namespace {

// Of both ops.
enum { kX = Linear::kX, kWeight = Linear::kWeight, kBias = Linear::kBias };

// x weight + bias
Tensor affine(Context& context, std::string_view op, const Inputs& inputs) {
  const Checked weights(op, "weight", inputs[kWeight]);
  const Tensor& x = Checked(op, "x", inputs[kX]).an_axis().floating();
  const Tensor& weight = weights.rank(2);
  weights.shape(Shape{x.shape().back(), weight.shape().back()}).dtype(x.dtype());
  const Tensor& bias = Checked(op, "bias", inputs[kBias]).shape(Shape{weight.shape().back()}).dtype(x.dtype());
  Checked(op, "x", x).not_empty();
  weights.not_empty();
  Tensor y = make_output(context, x.shape().with_back(weight.shape().back()), x.dtype());
  launch_with_workspace(context, Matmul{.a = x.data(),
                                        .b = weight.data(),
                                        .c = y.data(),
                                        .bias = bias.data(),
                                        .m = x.shape().rows(),
                                        .n = weight.shape()[1],
                                        .k = weight.shape()[0],
                                        .in = x.dtype(),
                                        .out = x.dtype()});
  return y;
}

// dx = dy weight', dweight = x' dy
void backward_of_product(Context& context, const Tensor& x, const Tensor& weight, const Tensor& dy,
                         Gradients& gradients) {
  const std::int64_t rows = x.shape().rows();
  const std::int64_t in = weight.shape()[0];
  const std::int64_t out = weight.shape()[1];
  if (gradients.wants(kWeight)) {
    const ParameterGradient dweight = parameter_gradient(gradients, kWeight);
    launch_with_workspace(context, Matmul{.a = x.data(),
                                          .b = dy.data(),
                                          .c = dweight.data,
                                          .m = in,
                                          .n = out,
                                          .k = rows,
                                          .transpose_a = true,
                                          .accumulate = dweight.accumulate,
                                          .in = x.dtype(),
                                          .out = DType::f32});
  }
  if (gradients.wants(kX)) {
    const GradSink dx = gradients.sink(kX, x.dtype());
    launch_with_workspace(context, Matmul{.a = dy.data(),
                                          .b = weight.data(),
                                          .c = dx.tensor.data(),
                                          .m = rows,
                                          .n = in,
                                          .k = out,
                                          .transpose_b = true,
                                          .accumulate = dx.accumulate,
                                          .in = x.dtype(),
                                          .out = x.dtype()});
  }
}

Cost cost_of_product(std::span<const Shape> inputs) {
  const std::int64_t rows = inputs[kX].rows();
  const Elems elems = inputs[kX].elems() + inputs[kWeight].elems() + rows * inputs[kWeight].back();
  return {.flops = 2 * rows * inputs[kWeight].elems(), .bytes = elems * size_of(DType::f32)};
}

}  // namespace

Outputs Linear::forward(Context& context, const Args& /*args*/, const Inputs& inputs) {
  return {affine(context, kTraits.name, inputs)};
}

void Linear::backward(Context& context, const Args& /*args*/, const Saved& saved, Gradients& gradients) {
  const Tensor& dy = gradients.dout(0);
  backward_of_product(context, saved.inputs[kX], saved.inputs[kWeight], dy, gradients);
  if (gradients.wants(kBias)) {
    const ParameterGradient dbias = parameter_gradient(gradients, kBias);
    launch_with_workspace(context, ColumnSum{.x = dy.data(),
                                             .sums = dbias.data,
                                             .rows = dy.shape().rows(),
                                             .columns = dy.shape().back(),
                                             .accumulate = dbias.accumulate,
                                             .dtype = dy.dtype()});
  }
}

Cost Linear::cost(const Args& /*args*/, std::span<const Shape> inputs) {
  return cost_of_product(inputs);
}

Var linear(Tape& tape, Var x, Var weight, Var bias, std::string_view name) {
  return tape.run<Linear>({}, {std::move(x), std::move(weight), std::move(bias)}, name);
}

Outputs LinearGelu::forward(Context& context, const Args& args, const Inputs& inputs) {
  Outputs outputs(2);
  outputs[kPre] = affine(context, kTraits.name, inputs);
  outputs[kY] = rebuild(context, args, kY, {.inputs = inputs.tensors, .outputs = outputs, .rng = {}});
  return outputs;
}

Tensor LinearGelu::rebuild(Context& context, const Args& /*args*/, int /*output*/, const Saved& saved) {
  const Tensor& pre = saved.outputs[kPre];
  Tensor y = make_output(context, pre.shape(), pre.dtype());
  launch(context, GeluForward{.x = pre.data(), .y = y.data(), .elems = pre.elems(), .dtype = pre.dtype()});
  return y;
}

void LinearGelu::backward(Context& context, const Args& /*args*/, const Saved& saved, Gradients& gradients) {
  const Tensor& pre = saved.outputs[kPre];
  const Tensor dy = gradients.take_dout(kY);
  const Tensor dpre = dy.unique() ? dy : Tensor(context.device(), dy.shape(), dy.dtype(), Tag::gradients);
  const ParameterGradient dbias = parameter_gradient(gradients, kBias);
  launch_with_workspace(context, GeluBackward{.x = pre.data(),
                                              .dy = dy.data(),
                                              .dx = dpre.data(),
                                              .dbias = dbias.data,
                                              .rows = pre.shape().rows(),
                                              .columns = pre.shape().back(),
                                              .accumulate_dbias = dbias.accumulate,
                                              .dtype = pre.dtype()});
  backward_of_product(context, saved.inputs[kX], saved.inputs[kWeight], dpre, gradients);
}

Cost LinearGelu::cost(const Args& /*args*/, std::span<const Shape> inputs) {
  Cost cost = cost_of_product(inputs);
  cost.flops += kGeluFlops * inputs[kX].rows() * inputs[kWeight].back();
  return cost;
}

Var linear_gelu(Tape& tape, Var x, Var weight, Var bias, std::string_view name) {
  return tape.run<LinearGelu>({}, {std::move(x), std::move(weight), std::move(bias)}, name);
}

}  // namespace retape::nn
