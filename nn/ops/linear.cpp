#include "nn/ops/linear.h"

#include "nn/kernels/elementwise.h"
#include "nn/kernels/gelu.h"
#include "nn/kernels/launch.h"
#include "nn/kernels/matmul.h"
#include "nn/ops/check.h"
#include "nn/ops/parameter_gradient.h"

namespace retape::nn {
namespace {

void check(std::string_view op, const Inputs& inputs) {
  const Tensor& x = inputs[0];
  const Tensor& weight = inputs[1];
  require<ShapeError>(x.shape().rank() >= 1, "[{}] x: expected at least 1 dimension, got a scalar", op);
  expect_floating(op, "x", x);
  expect_rank(op, "weight", weight, 2);
  expect_shape(op, "weight", weight, Shape{x.shape().back(), weight.shape().back()});
  expect_dtype(op, "weight", weight, x.dtype());
  expect_shape(op, "bias", inputs[2], Shape{weight.shape().back()});
  expect_dtype(op, "bias", inputs[2], x.dtype());
  expect_elements(op, "x", x);
  expect_elements(op, "weight", weight);
}

// x weight + bias
Tensor affine(Context& context, const Inputs& inputs) {
  const Tensor& x = inputs[0];
  const Tensor& weight = inputs[1];
  Tensor y(context.device(), x.shape().with_back(weight.shape().back()), x.dtype(), context.output_tag());
  launch_with_workspace(context, Matmul{.a = x.data(),
                                        .b = weight.data(),
                                        .c = y.data(),
                                        .bias = inputs[2].data(),
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
  if (gradients.wants(1)) {
    const ParameterGradient dweight = parameter_gradient(gradients, 1);
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
  if (gradients.wants(0)) {
    const GradSink dx = gradients.sink(0, x.dtype());
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
  const std::int64_t rows = inputs[0].rows();
  const Elems elems = inputs[0].elems() + inputs[1].elems() + rows * inputs[1].back();
  return {.flops = 2 * rows * inputs[1].elems(), .bytes = elems * size_of(DType::f32)};
}

}  // namespace

Outputs Linear::forward(Context& context, const Args& /*args*/, const Inputs& inputs) {
  check("linear", inputs);
  return {affine(context, inputs)};
}

void Linear::backward(Context& context, const Args& /*args*/, const Saved& saved, Gradients& gradients) {
  const Tensor& dy = gradients.dout(0);
  backward_of_product(context, saved.inputs[0], saved.inputs[1], dy, gradients);
  if (gradients.wants(2)) {
    const ParameterGradient dbias = parameter_gradient(gradients, 2);
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
  check("linear_gelu", inputs);
  Outputs outputs(2);
  outputs[1] = affine(context, inputs);
  outputs[0] = rebuild(context, args, 0, {.inputs = inputs.tensors, .outputs = outputs, .rng = {}});
  return outputs;
}

Tensor LinearGelu::rebuild(Context& context, const Args& /*args*/, int /*output*/, const Saved& saved) {
  const Tensor& pre = saved.outputs[1];
  Tensor y(context.device(), pre.shape(), pre.dtype(), context.output_tag());
  launch(context, GeluForward{.x = pre.data(), .y = y.data(), .elems = pre.elems(), .dtype = pre.dtype()});
  return y;
}

void LinearGelu::backward(Context& context, const Args& /*args*/, const Saved& saved, Gradients& gradients) {
  const Tensor& pre = saved.outputs[1];
  const Tensor dy = gradients.take_dout(0);
  const Tensor dpre = dy.unique() ? dy : Tensor(context.device(), dy.shape(), dy.dtype(), Tag::gradients);
  const ParameterGradient dbias = parameter_gradient(gradients, 2);
  launch_with_workspace(context, GeluBackward{.x = pre.data(),
                                              .dy = dy.data(),
                                              .dx = dpre.data(),
                                              .dbias = dbias.data,
                                              .rows = pre.shape().rows(),
                                              .columns = pre.shape().back(),
                                              .accumulate_dbias = dbias.accumulate,
                                              .dtype = pre.dtype()});
  backward_of_product(context, saved.inputs[0], saved.inputs[1], dpre, gradients);
}

Cost LinearGelu::cost(const Args& /*args*/, std::span<const Shape> inputs) {
  Cost cost = cost_of_product(inputs);
  cost.flops += kGeluFlops * inputs[0].rows() * inputs[1].back();
  return cost;
}

Var linear_gelu(Tape& tape, Var x, Var weight, Var bias, std::string_view name) {
  return tape.run<LinearGelu>({}, {std::move(x), std::move(weight), std::move(bias)}, name);
}

}  // namespace retape::nn
