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
  const Tensor& x = Checked(kTraits.name, "x", inputs[kX]).an_axis().floating().not_empty();
  const Shape channels{x.shape().back()};
  const Tensor& gamma = Checked(kTraits.name, "gamma", inputs[kGamma]).shape(channels).dtype(x.dtype());
  const Tensor& beta = Checked(kTraits.name, "beta", inputs[kBeta]).shape(channels).dtype(x.dtype());
  const Tensor y = make_output(context, x.shape(), x.dtype());
  const Shape rows{x.shape().rows()};
  const Tensor mean = make_output(context, rows, DType::f32);
  const Tensor rstd = make_output(context, rows, DType::f32);
  launch(context, kernel(args, x, gamma, beta, mean, rstd, y));
  return {y, mean, rstd};
}

Tensor LayerNorm::rebuild(Context& context, const Args& args, int /*output*/, const Saved& saved) {
  const Tensor& x = saved.inputs[kX];
  Tensor y = make_output(context, x.shape(), x.dtype());
  LayerNormForward again =
      kernel(args, x, saved.inputs[kGamma], saved.inputs[kBeta], saved.outputs[kMean], saved.outputs[kRstd], y);
  again.reuse_statistics = true;
  launch(context, again);
  return y;
}

void LayerNorm::backward(Context& context, const Args& /*args*/, const Saved& saved, Gradients& gradients) {
  const Tensor& x = saved.inputs[kX];
  ParameterGradient dgamma = parameter_gradient(gradients, kGamma);
  ParameterGradient dbeta = parameter_gradient(gradients, kBeta);
  Tensor unwanted;  // the kernel makes the gradients of both parameters or of neither
  if (gradients.wants(kGamma) != gradients.wants(kBeta)) {
    unwanted = Tensor(context.device(), Shape{x.shape().back()}, DType::f32, Tag::workspace);
    (gradients.wants(kGamma) ? dbeta : dgamma).data = unwanted.data_as<float>();
  }
  const GradSink dx = gradients.sink(kX, x.dtype());
  launch_with_workspace(context, LayerNormBackward{.x = x.data(),
                                                   .gamma = saved.inputs[kGamma].data(),
                                                   .mean = saved.outputs[kMean].data_as<float>(),
                                                   .rstd = saved.outputs[kRstd].data_as<float>(),
                                                   .dy = gradients.dout(kY).data(),
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
  const Elems elems = inputs[kX].elems();
  return {.flops = 8 * elems, .bytes = 2 * elems * size_of(DType::f32)};
}

Var layer_norm(Tape& tape, Var x, Var gamma, Var beta, float eps, std::string_view name) {
  return tape.run<LayerNorm>({eps}, {std::move(x), std::move(gamma), std::move(beta)}, name);
}

}  // namespace retape::nn
