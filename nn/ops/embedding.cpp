#include "nn/ops/embedding.h"

#include "nn/kernels/embedding.h"
#include "nn/kernels/launch.h"
#include "nn/ops/check.h"
#include "nn/ops/check_ids.h"

namespace retape::nn {
namespace {

// The sums that a table's gradient is added to; null where it is not wanted.
float* table_sums(Gradients& gradients, int input) {
  if (!gradients.wants(input)) {
    return nullptr;
  }
  GradSink sink = gradients.sink(input, DType::f32);
  if (!sink.accumulate) {
    sink.tensor.fill_zero();
  }
  return sink.tensor.data_as<float>();
}

}  // namespace

Outputs Embedding::forward(Context& context, const Args& /*args*/, const Inputs& inputs) {
  const Tensor& tokens = Checked(kTraits.name, "tokens", inputs[kTokens]).rank(2).dtype(DType::i32);
  const Tensor& token_table = Checked(kTraits.name, "token_table", inputs[kTokenTable]).rank(2).floating();
  const Checked positions(kTraits.name, "position_table", inputs[kPositionTable]);
  const Tensor& position_table = positions.rank(2);
  positions.shape(Shape{position_table.shape()[0], token_table.shape()[1]}).dtype(token_table.dtype());
  Checked(kTraits.name, "tokens", tokens).not_empty();
  Checked(kTraits.name, "token_table", token_table).not_empty();
  const std::int64_t batch = tokens.shape()[0];
  const std::int64_t seq_len = tokens.shape()[1];
  const std::int64_t channels = token_table.shape()[1];
  require<ShapeError>(seq_len <= position_table.shape()[0], "[embedding] tokens: expected at most {} positions, got {}",
                      position_table.shape()[0], seq_len);
  expect_ids(context, kTraits.name, "tokens", tokens, token_table.shape()[0]);
  const Tensor out = make_output(context, Shape{batch, seq_len, channels}, token_table.dtype());
  launch(context, EmbeddingForward{.tokens = tokens.data_as<std::int32_t>(),
                                   .token_table = token_table.data(),
                                   .position_table = position_table.data(),
                                   .out = out.data(),
                                   .batch = batch,
                                   .seq_len = seq_len,
                                   .channels = channels,
                                   .dtype = token_table.dtype()});
  return {out};
}

void Embedding::backward(Context& context, const Args& /*args*/, const Saved& saved, Gradients& gradients) {
  const Tensor& dout = gradients.dout(0);
  launch(context, EmbeddingBackward{.tokens = saved.inputs[kTokens].data_as<std::int32_t>(),
                                    .dout = dout.data(),
                                    .dtoken_table = table_sums(gradients, kTokenTable),
                                    .dposition_table = table_sums(gradients, kPositionTable),
                                    .batch = dout.shape()[0],
                                    .seq_len = dout.shape()[1],
                                    .channels = dout.shape()[2],
                                    .dtype = dout.dtype()});
}

Cost Embedding::cost(const Args& /*args*/, std::span<const Shape> inputs) {
  const Elems elems = inputs[kTokens].elems() * inputs[kTokenTable].back();
  return {.flops = elems, .bytes = 3 * elems * size_of(DType::f32)};
}

Var embedding(Tape& tape, Var tokens, Var token_table, Var position_table, std::string_view name) {
  return tape.run<Embedding>({}, {std::move(tokens), std::move(token_table), std::move(position_table)}, name);
}

}  // namespace retape::nn
