#include "nn/ops/reductions.h"

#include "nn/kernels/launch.h"
#include "nn/kernels/reduction.h"
#include "nn/ops/check.h"

namespace retape::nn {
namespace {

// x as the rows that are reduced.
struct Rows {
  std::int64_t count;
  std::int64_t columns;
};

Rows rows_of(const Shape& x, Over over) {
  return over == Over::all ? Rows{1, x.elems()} : Rows{x.rows(), x.back()};
}

}  // namespace

template <bool kMean>
Outputs Reduction<kMean>::forward(Context& context, const Args& args, const Inputs& inputs) {
  const Checked x_checked = Checked(kTraits.name, "x", inputs[kX]).floating();
  const bool all = args.over == Over::all;
  const Tensor& x = (all ? x_checked : x_checked.an_axis()).not_empty();
  const Rows rows = rows_of(x.shape(), args.over);
  const Tensor y = make_output(context, all ? Shape{} : x.shape().without_back(), all ? DType::f32 : x.dtype());
  launch_with_workspace(context, RowSum{.x = x.data(),
                                        .out = y.data(),
                                        .rows = rows.count,
                                        .columns = rows.columns,
                                        .divisor = kMean ? static_cast<double>(rows.columns) : 1,
                                        .dtype = x.dtype(),
                                        .out_dtype = y.dtype()});
  return {y};
}

template <bool kMean>
void Reduction<kMean>::backward(Context& context, const Args& args, const Saved& /*saved*/, Gradients& gradients) {
  const Tensor& dy = gradients.dout(0);
  const Rows rows = rows_of(gradients.shape(kX), args.over);
  const GradSink dx = gradients.sink(kX);
  launch(context, RowSpread{.x = dy.data(),
                            .out = dx.tensor.data(),
                            .rows = rows.count,
                            .columns = rows.columns,
                            .divisor = kMean ? static_cast<double>(rows.columns) : 1,
                            .accumulate = dx.accumulate,
                            .dtype = dy.dtype(),
                            .out_dtype = dx.tensor.dtype()});
}

template <bool kMean>
Cost Reduction<kMean>::cost(const Args& /*args*/, std::span<const Shape> inputs) {
  return {.flops = inputs[kX].elems(), .bytes = inputs[kX].elems() * size_of(DType::f32)};
}

template struct Reduction<false>;
template struct Reduction<true>;

Var sum(Tape& tape, Var x, Over over, std::string_view name) {
  return tape.run<Reduction<false>>({over}, {std::move(x)}, name);
}

Var mean(Tape& tape, Var x, Over over, std::string_view name) {
  return tape.run<Reduction<true>>({over}, {std::move(x)}, name);
}

}  // namespace retape::nn
