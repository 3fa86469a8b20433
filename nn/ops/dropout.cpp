#include "nn/ops/dropout.h"

#include "nn/kernels/dropout.h"
#include "nn/kernels/launch.h"
#include "nn/ops/check.h"

namespace retape::nn {

Outputs Dropout::forward(Context& context, const Args& args, const Inputs& inputs) {
  const Tensor& x = Checked(kTraits.name, "x", inputs[kX]).floating();
  expect_probability(kTraits.name, args.p);
  const void* residual = nullptr;
  if (inputs.tensors.size() > kResidual) {
    const Tensor& added = Checked(kTraits.name, "residual", inputs[kResidual]).shape(x.shape()).dtype(x.dtype());
    residual = added.data();
  }
  const Tensor out = make_output(context, x.shape(), x.dtype());
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
  if (saved.inputs.size() > kResidual && gradients.wants(kResidual)) {
    gradients.give(kResidual, dout);
  }
  if (!gradients.wants(kX)) {
    return;
  }
  if (args.p == 0) {
    gradients.give(kX, dout);
    return;
  }
  const GradSink dx = gradients.sink(kX, dout.dtype());
  launch(context, DropoutBackward{.dout = dout.data(),
                                  .dx = dx.tensor.data(),
                                  .elems = dout.elems(),
                                  .p = args.p,
                                  .rng = saved.rng,
                                  .accumulate = dx.accumulate,
                                  .dtype = dout.dtype()});
}

Cost Dropout::cost(const Args& /*args*/, std::span<const Shape> inputs) {
  const Elems elems = inputs[kX].elems();
  return {.flops = 2 * elems, .bytes = static_cast<Bytes>(inputs.size() + 1) * elems * size_of(DType::f32)};
}

Elems Dropout::rng_elems(const Args& args, std::span<const Shape> inputs) {
  return args.p > 0 ? inputs[kX].elems() : 0;
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
