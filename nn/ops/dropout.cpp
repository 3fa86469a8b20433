#include "nn/ops/dropout.h"

#include "nn/kernels/dropout.h"
#include "nn/kernels/launch.h"
#include "nn/ops/check.h"

namespace retape::nn {

Outputs Dropout::forward(Context& context, const Args& args, const Inputs& inputs) {
  const Tensor& x = inputs[0];
  expect_floating("dropout", "x", x);
  expect_probability("dropout", args.p);
  const void* residual = nullptr;
  if (inputs.tensors.size() > 1) {
    expect_shape("dropout", "residual", inputs[1], x.shape());
    expect_dtype("dropout", "residual", inputs[1], x.dtype());
    residual = inputs[1].data();
  }
  const Tensor out(context.device(), x.shape(), x.dtype(), context.output_tag());
  launch(context, DropoutResidualForward{.x = x.data(),
                                         .residual = residual,
                                         .out = out.data(),
                                         .elems = x.elems(),
                                         .p = args.p,
                                         .rng = inputs.rng,
                                         .dtype = x.dtype()});
  return {out};
}

void Dropout::backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients) {
  const Tensor& dout = gradients.dout(0);
  if (saved.inputs.size() > 1 && gradients.wants(1)) {
    gradients.give(1, dout);
  }
  if (!gradients.wants(0)) {
    return;
  }
  if (args.p == 0) {
    gradients.give(0, dout);
    return;
  }
  const GradSink dx = gradients.sink(0, dout.dtype());
  launch(context, DropoutBackward{.dout = dout.data(),
                                  .dx = dx.tensor.data(),
                                  .elems = dout.elems(),
                                  .p = args.p,
                                  .rng = saved.rng,
                                  .accumulate = dx.accumulate,
                                  .dtype = dout.dtype()});
}

Cost Dropout::cost(const Args& /*args*/, std::span<const Shape> inputs) {
  const Elems elems = inputs[0].elems();
  return {.flops = 2 * elems, .bytes = static_cast<Bytes>(inputs.size() + 1) * elems * size_of(DType::f32)};
}

Elems Dropout::rng_elems(const Args& args, std::span<const Shape> inputs) {
  return args.p > 0 ? inputs[0].elems() : 0;
}

Var dropout(Tape& tape, Var x, float p, std::string_view name) {
  if (p == 0) {
    return x;
  }
  return tape.run<Dropout>({p}, {std::move(x)}, name);
}

Var dropout_residual(Tape& tape, Var x, Var residual, float p, std::string_view name) {
  return tape.run<Dropout>({p}, {std::move(x), std::move(residual)}, name);
}

}  // namespace retape::nn
