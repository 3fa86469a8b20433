#include "nn/ops/cross_entropy_head.h"

#include <algorithm>

#include "nn/kernels/cross_entropy.h"
#include "nn/kernels/elementwise.h"
#include "nn/kernels/launch.h"
#include "nn/kernels/matmul.h"
#include "nn/ops/check.h"
#include "nn/ops/check_ids.h"

namespace retape::nn {
namespace {

// What the f32 logits of one chunk may take.
constexpr Bytes kHeadChunkBytes = 64_MiB;

std::byte* row_of(const Tensor& tensor, std::int64_t row, std::int64_t columns) {
  return static_cast<std::byte*>(tensor.data()) + row * columns * size_of(tensor.dtype());
}

// The table, for rows of x.
void check_table(std::string_view op, const Tensor& x, const Tensor& table) {
  const Checked checked(op, "table", table);
  checked.rank(2);
  checked.shape(Shape{table.shape()[0], x.shape().back()}).dtype(x.dtype());
}

// One forward of the head: the tensors it reads and writes, chunk after chunk.
struct HeadPass {
  Context& context;
  Tensor x;
  Tensor table;
  Tensor targets;
  Tensor dx;       // undefined where no gradient is wanted
  Tensor dtable;   // likewise
  Tensor logits;   // [chunk, V] f32
  Tensor dlogits;  // [chunk, V] dtype of x; shares memory with logits where both are f32
  Tensor losses;   // [rows]
  float gradient_scale = 0;

  std::int64_t vocab() const { return table.shape()[0]; }
  std::int64_t channels() const { return table.shape()[1]; }

  // Where nothing is computed, chunks between the third and the last are passed over. With a large vocabulary there can
  // be millions, and each would only ask for the workspaces that the second and the third have asked for.
  void run(std::int64_t rows, std::int64_t chunk) const {
    const std::int64_t last = (ceil_div(rows, chunk) - 1) * chunk;
    for (std::int64_t row = 0; row < rows; row += chunk) {
      if (!context.device().computes() && row > 2 * chunk) {
        row = last;
      }
      run_chunk(row, std::min(chunk, rows - row));
    }
  }

  void run_chunk(std::int64_t row, std::int64_t rows) const {
    launch_with_workspace(context, Matmul{.a = row_of(x, row, channels()),
                                          .b = table.data(),
                                          .c = logits.data(),
                                          .m = rows,
                                          .n = vocab(),
                                          .k = channels(),
                                          .transpose_b = true,
                                          .in = x.dtype(),
                                          .out = DType::f32});
    launch(context, CrossEntropy{.logits = logits.data_as<float>(),
                                 .targets = targets.data_as<std::int32_t>() + row,
                                 .losses = losses.data_as<float>() + row,
                                 .dlogits = dlogits.data(),
                                 .rows = rows,
                                 .vocab = vocab(),
                                 .gradient_scale = gradient_scale,
                                 .dtype = x.dtype()});
    if (!dx.defined()) {
      return;
    }
    launch_with_workspace(context, Matmul{.a = dlogits.data(),
                                          .b = table.data(),
                                          .c = row_of(dx, row, channels()),
                                          .m = rows,
                                          .n = channels(),
                                          .k = vocab(),
                                          .in = x.dtype(),
                                          .out = x.dtype()});
    launch_with_workspace(context, Matmul{.a = dlogits.data(),
                                          .b = row_of(x, row, channels()),
                                          .c = dtable.data(),
                                          .m = vocab(),
                                          .n = channels(),
                                          .k = rows,
                                          .transpose_a = true,
                                          .accumulate = row > 0,
                                          .in = x.dtype(),
                                          .out = DType::f32});
  }
};

// The gradient times the gradient of the loss.
Tensor scaled(Context& context, const Tensor& gradient, const Tensor& dloss) {
  Tensor result(context.device(), gradient.shape(), gradient.dtype(), Tag::gradients);
  launch(context, Scale{.x = gradient.data(),
                        .out = result.data(),
                        .elems = gradient.elems(),
                        .times = dloss.data_as<float>(),
                        .in = gradient.dtype(),
                        .out_dtype = gradient.dtype()});
  return result;
}

}  // namespace

std::int64_t head_chunk_rows(std::int64_t rows, std::int64_t vocab) {
  const std::int64_t affordable = std::max<std::int64_t>(1, kHeadChunkBytes / (vocab * size_of(DType::f32)));
  return std::min(affordable, ceil_div(rows, 4));
}

Outputs CrossEntropyHead::forward(Context& context, const Args& args, const Inputs& inputs) {
  const Tensor& x = Checked(kTraits.name, "x", inputs[kX]).rank(3).floating();
  const Tensor& table = inputs[kTable];
  check_table(kTraits.name, x, table);
  const Shape rows_shape{x.shape()[0], x.shape()[1]};
  const Tensor& targets = Checked(kTraits.name, "targets", inputs[kTargets]).shape(rows_shape).dtype(DType::i32);
  Checked(kTraits.name, "x", x).not_empty();
  Checked(kTraits.name, "table", table).not_empty();
  expect_ids(context, kTraits.name, "targets", targets, table.shape()[0]);
  Device& device = context.device();
  const std::int64_t rows = x.shape().rows();
  const std::int64_t vocab = table.shape()[0];
  const std::int64_t chunk = head_chunk_rows(rows, vocab);
  const Shape chunk_shape{chunk, vocab};

  HeadPass pass{.context = context, .x = x, .table = table, .targets = targets};
  pass.gradient_scale = args.scale / static_cast<float>(rows);
  pass.losses = Tensor(device, Shape{rows}, DType::f32, Tag::workspace);
  pass.logits = Tensor(device, chunk_shape, DType::f32, Tag::workspace);
  if (inputs.recording) {
    pass.dx = Tensor(device, x.shape(), x.dtype(), Tag::gradients);
    pass.dtable = Tensor(device, pass.table.shape(), DType::f32, Tag::gradients);
    pass.dlogits = x.dtype() == DType::f32 ? pass.logits : Tensor(device, chunk_shape, x.dtype(), Tag::workspace);
  }
  pass.run(rows, chunk);
  const Tensor loss = make_output(context, Shape{}, DType::f32);
  launch(
      context,
      ScaledMean{.x = pass.losses.data_as<float>(), .out = loss.data_as<float>(), .elems = rows, .factor = args.scale});
  return {loss, pass.dx, pass.dtable};
}

void CrossEntropyHead::backward(Context& context, const Args& /*args*/, const Saved& saved, Gradients& gradients) {
  for (const auto& [input, made] : {std::pair(kX, kDx), {kTable, kDtable}}) {
    if (gradients.wants(input)) {
      const Tensor& gradient = saved.outputs[static_cast<std::size_t>(made)];
      // Nothing follows the loss, as a rule.
      gradients.give(input,
                     gradients.seed(kLoss) == 1.0F ? gradient : scaled(context, gradient, gradients.dout(kLoss)));
    }
  }
}

Cost CrossEntropyHead::cost(const Args& /*args*/, std::span<const Shape> inputs) {
  const std::int64_t rows = inputs[kX].rows();
  return {.flops = 6 * rows * inputs[kTable].elems(), .bytes = 3 * rows * inputs[kTable][0] * size_of(DType::f32)};
}

Var cross_entropy_head(Tape& tape, Var x, Var table, Var targets, float scale, std::string_view name) {
  return tape.run<CrossEntropyHead>({scale}, {std::move(x), std::move(table), std::move(targets)}, name);
}

Tensor head_logits(Context& context, const Tensor& x, const Tensor& table) {
  const Checked rows("head_logits", "x", x);
  rows.rank(2).floating();
  check_table("head_logits", x, table);
  rows.not_empty();
  Checked("head_logits", "table", table).not_empty();
  Tensor logits(context.device(), Shape{x.shape()[0], table.shape()[0]}, DType::f32, Tag::workspace);
  launch_with_workspace(context, Matmul{.a = x.data(),
                                        .b = table.data(),
                                        .c = logits.data(),
                                        .m = x.shape()[0],
                                        .n = table.shape()[0],
                                        .k = table.shape()[1],
                                        .transpose_b = true,
                                        .in = x.dtype(),
                                        .out = DType::f32});
  return logits;
}

}  // namespace retape::nn
