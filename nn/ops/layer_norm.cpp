#include "nn/ops/layer_norm.h"

#include "nn/kernels/launch.h"
#include "nn/kernels/layer_norm.h"
#include "nn/ops/check.h"
#include "nn/ops/parameter_gradient.h"

namespace retape::nn {
namespace {

LayerNormForward kernel(const LayerNorm::Args& args, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                        const Tensor& mean, const Tensor& rstd, const Tensor& y) {
  return {.x = x.data(),
          .gamma = gamma.data(),
          .beta = beta.data(),
          .mean = mean.data_as<float>(),
          .rstd = rstd.data_as<float>(),
          .y = y.data(),
          .rows = x.shape().rows(),
          .channels = x.shape().back(),
          .eps = args.eps,
          .dtype = x.dtype()};
}

}  // namespace

Outputs LayerNorm::forward(Context& context, const Args& args, const Inputs& inputs) {
  const Tensor& x = inputs[0];
  require<ShapeError>(x.shape().rank() >= 1, "[layer_norm] x: expected at least 1 dimension, got a scalar");
  expect_floating("layer_norm", "x", x);
  expect_elements("layer_norm", "x", x);
  for (const auto& [name, tensor] : {std::pair{"gamma", &inputs[1]}, std::pair{"beta", &inputs[2]}}) {
    expect_shape("layer_norm", name, *tensor, Shape{x.shape().back()});
    expect_dtype("layer_norm", name, *tensor, x.dtype());
  }
  const Tag tag = context.output_tag();
  const Tensor y(context.device(), x.shape(), x.dtype(), tag);
  const Shape rows{x.shape().rows()};
  const Tensor mean(context.device(), rows, DType::f32, tag);
  const Tensor rstd(context.device(), rows, DType::f32, tag);
  launch(context, kernel(args, x, inputs[1], inputs[2], mean, rstd, y));
  return {y, mean, rstd};
}

Tensor LayerNorm::rebuild(Context& context, const Args& args, int /*output*/, const Saved& saved) {
  const Tensor& x = saved.inputs[0];
  Tensor y(context.device(), x.shape(), x.dtype(), context.output_tag());
  LayerNormForward again = kernel(args, x, saved.inputs[1], saved.inputs[2], saved.outputs[1], saved.outputs[2], y);
  again.reuse_statistics = true;
  launch(context, again);
  return y;
}

void LayerNorm::backward(Context& context, const Args& /*args*/, const Saved& saved, Gradients& gradients) {
  const Tensor& x = saved.inputs[0];
  ParameterGradient dgamma = parameter_gradient(gradients, 1);
  ParameterGradient dbeta = parameter_gradient(gradients, 2);
  Tensor unwanted;  // the kernel makes the gradients of both parameters or of neither
  if (gradients.wants(1) != gradients.wants(2)) {
    unwanted = Tensor(context.device(), Shape{x.shape().back()}, DType::f32, Tag::workspace);
    (gradients.wants(1) ? dbeta : dgamma).data = unwanted.data_as<float>();
  }
  const GradSink dx = gradients.sink(0, x.dtype());
  launch_with_workspace(context, LayerNormBackward{.x = x.data(),
                                                   .gamma = saved.inputs[1].data(),
                                                   .mean = saved.outputs[1].data_as<float>(),
                                                   .rstd = saved.outputs[2].data_as<float>(),
                                                   .dy = gradients.dout(0).data(),
                                                   .dx = dx.tensor.data(),
                                                   .dgamma = dgamma.data,
                                                   .dbeta = dbeta.data,
                                                   .rows = x.shape().rows(),
                                                   .channels = x.shape().back(),
                                                   .accumulate_dx = dx.accumulate,
                                                   .accumulate_dgamma = dgamma.accumulate,
                                                   .accumulate_dbeta = dbeta.accumulate,
                                                   .dtype = x.dtype()});
}

Cost LayerNorm::cost(const Args& /*args*/, std::span<const Shape> inputs) {
  const Elems elems = inputs[0].elems();
  return {.flops = 8 * elems, .bytes = 2 * elems * size_of(DType::f32)};
}

Var layer_norm(Tape& tape, Var x, Var gamma, Var beta, float eps, std::string_view name) {
  return tape.run<LayerNorm>({eps}, {std::move(x), std::move(gamma), std::move(beta)}, name);
}

}  // namespace retape::nn
