#include "nn/ops/arithmetic.h"

#include "nn/kernels/elementwise.h"
#include "nn/kernels/launch.h"
#include "nn/ops/check.h"
#include "nn/ops/passed_gradient.h"

namespace retape::nn {
namespace {

bool longer(const Shape& a, const Shape& b) {
  return a.elems() != b.elems() ? a.elems() > b.elems() : a.rank() >= b.rank();
}

// Whether `shape`, its leading extents of 1 apart, is the end of `whole`.
bool is_end_of(const Shape& shape, const Shape& whole) {
  int significant = shape.rank();
  while (significant > 0 && shape[-significant] == 1) {
    --significant;
  }
  if (significant > whole.rank()) {
    return false;
  }
  for (int i = 1; i <= significant; ++i) {
    if (shape[-i] != whole[-i]) {
      return false;
    }
  }
  return true;
}

Shape result_shape(std::string_view op, const Tensor& a, const Tensor& b) {
  const bool a_is_longer = longer(a.shape(), b.shape());
  const Shape& whole = a_is_longer ? a.shape() : b.shape();
  require<ShapeError>(is_end_of(a_is_longer ? b.shape() : a.shape(), whole),
                      "[{}] b: expected a shape that ends {}, or that it ends, got {}", op, a.shape().str(),
                      b.shape().str());
  return whole;
}

}  // namespace

template <ArithmeticKind kKind>
Outputs Arithmetic<kKind>::forward(Context& context, const Args& /*args*/, const Inputs& inputs) {
  const Tensor& a = Checked(kTraits.name, "a", inputs[kA]).floating();
  const Tensor& b = Checked(kTraits.name, "b", inputs[kB]).dtype(a.dtype());
  Checked(kTraits.name, "a", a).not_empty();
  Checked(kTraits.name, "b", b).not_empty();
  const Tensor out = make_output(context, result_shape(kTraits.name, a, b), a.dtype());
  launch(context,
         ArithmeticForward{
             .kind = kKind,
             .operands = {.a = a.data(), .b = b.data(), .a_elems = a.elems(), .b_elems = b.elems(), .dtype = a.dtype()},
             .out = out.data()});
  return {out};
}

template <ArithmeticKind kKind>
void Arithmetic<kKind>::backward(Context& context, const Args& /*args*/, const Saved& saved, Gradients& gradients) {
  const Tensor dout = gradients.dout(0);
  for (const int operand : {kA, kB}) {
    if (!gradients.wants(operand)) {
      continue;
    }
    const bool is_dout = kKind == ArithmeticKind::add || (kKind == ArithmeticKind::subtract && operand == kA);
    if (is_dout && gradients.shape(operand).elems() == dout.elems()) {
      pass_on(context, gradients, operand, dout);
      continue;
    }
    const GradSink gradient = gradients.sink(operand);
    launch_with_workspace(context, ArithmeticBackward{.kind = kKind,
                                                      .operands = {.a = saved.inputs[kA].data(),
                                                                   .b = saved.inputs[kB].data(),
                                                                   .a_elems = gradients.shape(kA).elems(),
                                                                   .b_elems = gradients.shape(kB).elems(),
                                                                   .dtype = dout.dtype()},
                                                      .of_b = operand == kB,
                                                      .dout = dout.data(),
                                                      .gradient = gradient.tensor.data(),
                                                      .accumulate = gradient.accumulate,
                                                      .gradient_dtype = gradient.tensor.dtype()});
  }
}

template <ArithmeticKind kKind>
Cost Arithmetic<kKind>::cost(const Args& /*args*/, std::span<const Shape> inputs) {
  const Elems a = inputs[kA].elems();
  const Elems b = inputs[kB].elems();
  return {.flops = std::max(a, b), .bytes = (a + b + std::max(a, b)) * size_of(DType::f32)};
}

template struct Arithmetic<ArithmeticKind::add>;
template struct Arithmetic<ArithmeticKind::subtract>;
template struct Arithmetic<ArithmeticKind::multiply>;
template struct Arithmetic<ArithmeticKind::divide>;

Var add(Tape& tape, Var a, Var b, std::string_view name) {
  return tape.run<Arithmetic<ArithmeticKind::add>>({}, {std::move(a), std::move(b)}, name);
}

Var subtract(Tape& tape, Var a, Var b, std::string_view name) {
  return tape.run<Arithmetic<ArithmeticKind::subtract>>({}, {std::move(a), std::move(b)}, name);
}

Var multiply(Tape& tape, Var a, Var b, std::string_view name) {
  return tape.run<Arithmetic<ArithmeticKind::multiply>>({}, {std::move(a), std::move(b)}, name);
}

Var divide(Tape& tape, Var a, Var b, std::string_view name) {
  return tape.run<Arithmetic<ArithmeticKind::divide>>({}, {std::move(a), std::move(b)}, name);
}

Outputs Scaling::forward(Context& context, const Args& args, const Inputs& inputs) {
  const Tensor& x = Checked(kTraits.name, "x", inputs[kX]).floating().not_empty();
  const Tensor out = make_output(context, x.shape(), x.dtype());
  launch(context, Scale{.x = x.data(),
                        .out = out.data(),
                        .elems = x.elems(),
                        .factor = args.factor,
                        .in = x.dtype(),
                        .out_dtype = x.dtype()});
  return {out};
}

void Scaling::backward(Context& context, const Args& args, const Saved& /*saved*/, Gradients& gradients) {
  const Tensor& dout = gradients.dout(0);
  const GradSink dx = gradients.sink(kX);
  launch(context, Scale{.x = dout.data(),
                        .out = dx.tensor.data(),
                        .elems = dout.elems(),
                        .factor = args.factor,
                        .accumulate = dx.accumulate,
                        .in = dout.dtype(),
                        .out_dtype = dx.tensor.dtype()});
}

Cost Scaling::cost(const Args& /*args*/, std::span<const Shape> inputs) {
  return {.flops = inputs[kX].elems(), .bytes = 2 * inputs[kX].elems() * size_of(DType::f32)};
}

Var scale(Tape& tape, Var x, float factor, std::string_view name) {
  return tape.run<Scaling>({factor}, {std::move(x)}, name);
}

}  // namespace retape::nn
