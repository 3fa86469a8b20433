#include "nn/ops/batched_matmul.h"

#include "nn/kernels/batched_matmul.h"
#include "nn/kernels/launch.h"
#include "nn/ops/check.h"

namespace retape::nn {
namespace {

// One side of a product: matrices as they are, or their transposes.
struct Side {
  const Tensor& matrices;
  bool transposed = false;

  std::int64_t rows() const { return matrices.shape()[transposed ? -1 : -2]; }
  std::int64_t columns() const { return matrices.shape()[transposed ? -2 : -1]; }
};

Side transpose_of(const Side& side) {
  return {side.matrices, !side.transposed};
}

// c = a b
void multiply(Context& context, const Side& a, const Side& b, const Tensor& c, bool accumulate = false) {
  const std::int64_t m = a.rows();
  const std::int64_t n = b.columns();
  launch_with_workspace(context, MatmulBatch{.first = {.a = a.matrices.data(),
                                                       .b = b.matrices.data(),
                                                       .c = c.data(),
                                                       .m = m,
                                                       .n = n,
                                                       .k = a.columns(),
                                                       .transpose_a = a.transposed,
                                                       .transpose_b = b.transposed,
                                                       .accumulate = accumulate,
                                                       .in = a.matrices.dtype(),
                                                       .out = c.dtype()},
                                             .batch = c.elems() / (m * n)});
}

// Writes a b, the gradient of the side at `input`, or where that was given transposed b' a', which is the gradient's
// transpose.
void write_gradient(Context& context, Gradients& gradients, int input, const Side& side, const Side& a, const Side& b) {
  if (!gradients.wants(input)) {
    return;
  }
  // Products of f32 come in f32 alone.
  const DType dtype = side.matrices.dtype();
  const GradSink sink = dtype == DType::f32 ? gradients.sink(input, dtype) : gradients.sink(input);
  if (side.transposed) {
    multiply(context, transpose_of(b), transpose_of(a), sink.tensor, sink.accumulate);
  } else {
    multiply(context, a, b, sink.tensor, sink.accumulate);
  }
}

}  // namespace

Outputs BatchedMatmul::forward(Context& context, const Args& args, const Inputs& inputs) {
  const Tensor& a = Checked(kTraits.name, "a", inputs[kA]).floating();
  require<ShapeError>(a.shape().rank() >= 2, "[batched_matmul] a: expected at least 2 dimensions, got {}",
                      a.shape().str());
  const Checked b_checked(kTraits.name, "b", inputs[kB]);
  const Tensor& b = b_checked.rank(a.shape().rank());
  const Side left{a, args.transposed.a};
  const Side right{b, args.transposed.b};
  const int k_axis = args.transposed.b ? -1 : -2;
  const int n_axis = args.transposed.b ? -2 : -1;
  b_checked.shape(a.shape().with({{k_axis, left.columns()}, {n_axis, right.columns()}})).dtype(a.dtype());
  Checked(kTraits.name, "a", a).not_empty();
  b_checked.not_empty();
  const Tensor y = make_output(context, a.shape().with({{-2, left.rows()}, {-1, right.columns()}}), a.dtype());
  multiply(context, left, right, y);
  return {y};
}

void BatchedMatmul::backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients) {
  const Side a{saved.inputs[kA], args.transposed.a};
  const Side b{saved.inputs[kB], args.transposed.b};
  const Side dy{gradients.dout(0)};
  write_gradient(context, gradients, kA, a, dy, transpose_of(b));
  write_gradient(context, gradients, kB, b, transpose_of(a), dy);
}

Cost BatchedMatmul::cost(const Args& args, std::span<const Shape> inputs) {
  const Shape& a = inputs[kA];
  const Shape& b = inputs[kB];
  const std::int64_t m = a[args.transposed.a ? -1 : -2];
  const std::int64_t n = b[args.transposed.b ? -2 : -1];
  const std::int64_t batch = a.elems() / (a[-1] * a[-2]);
  return {.flops = 2 * a.elems() * n, .bytes = (a.elems() + b.elems() + batch * m * n) * size_of(DType::f32)};
}

Var batched_matmul(Tape& tape, Var a, Var b, Transposed transposed, std::string_view name) {
  return tape.run<BatchedMatmul>({transposed}, {std::move(a), std::move(b)}, name);
}

}  // namespace retape::nn
