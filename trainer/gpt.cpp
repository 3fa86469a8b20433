#include "trainer/gpt.h"

#include <cmath>

#include "nn/ops/attention.h"
#include "nn/ops/cross_entropy_head.h"
#include "nn/ops/dropout.h"
#include "nn/ops/embedding.h"

namespace retape::trainer {

using nn::Shape;
using nn::Tape;
using nn::Tensor;
using nn::Var;

namespace {

const GptShape& checked(const GptShape& shape) {
  require<ConfigError>(shape.layers > 0 && shape.heads > 0 && shape.dim > 0 && shape.seq_len > 0 && shape.vocab > 0,
                       "[gpt] expected layers, heads, dim, seq_len and vocab above 0, got {}, {}, {}, {}, {}",
                       shape.layers, shape.heads, shape.dim, shape.seq_len, shape.vocab);
  require<ConfigError>(shape.dim % shape.heads == 0, "[gpt] heads: expected a number that divides dim {}, got {}",
                       shape.dim, shape.heads);
  return shape;
}

std::string block_name(std::int64_t layer) {
  return fmt::format("h.{}", layer);
}

}  // namespace

Gpt::Block::Block(nn::Device& device, const GptShape& shape, std::int64_t layer)
    : region(block_name(layer)),
      ln_1(device, "transformer." + region + ".ln_1", shape.dim, shape.dtype),
      attn_qkv(device, "transformer." + region + ".attn.c_attn", shape.dim, 3 * shape.dim, shape.dtype),
      attn_proj(device, "transformer." + region + ".attn.c_proj", shape.dim, shape.dim, shape.dtype),
      ln_2(device, "transformer." + region + ".ln_2", shape.dim, shape.dtype),
      mlp_up(device, "transformer." + region + ".mlp.c_fc", shape.dim, 4 * shape.dim, shape.dtype),
      mlp_down(device, "transformer." + region + ".mlp.c_proj", 4 * shape.dim, shape.dim, shape.dtype) {}

Var Gpt::Block::operator()(Tape& tape, Var x, std::int64_t heads, float dropout) {
  const nn::RegionScope scope = tape.region(region);
  Var branch = attn_qkv(tape, ln_1(tape, x, "ln_1"), "qkv");
  branch = nn::attention(tape, std::move(branch), heads, dropout);
  branch = attn_proj(tape, std::move(branch), "attn_proj");
  x = nn::dropout_residual(tape, std::move(branch), std::move(x), dropout, "x_mid");
  branch = mlp_up.gelu(tape, ln_2(tape, x, "ln_2"));
  branch = mlp_down(tape, std::move(branch), "mlp_down");
  return nn::dropout_residual(tape, std::move(branch), std::move(x), dropout, "x");
}

Gpt::Gpt(nn::Device& device, const GptShape& shape)
    : shape_(checked(shape)),
      token_table_(device, "transformer.wte.weight", Shape{shape.vocab, shape.dim}, shape.dtype),
      position_table_(device, "transformer.wpe.weight", Shape{shape.seq_len, shape.dim}, shape.dtype),
      final_norm_(device, "transformer.ln_f", shape.dim, shape.dtype) {
  parameters_ = {&token_table_, &position_table_};
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    Block& block = *blocks_.emplace_back(std::make_unique<Block>(device, shape, layer));
    for (nn::layers::LayerNorm* norm : {&block.ln_1, &block.ln_2}) {
      const bool first = norm == &block.ln_1;
      nn::layers::Linear& in = first ? block.attn_qkv : block.mlp_up;
      nn::layers::Linear& out = first ? block.attn_proj : block.mlp_down;
      parameters_.insert(parameters_.end(), {&norm->weight, &norm->bias, &in.weight, &in.bias, &out.weight, &out.bias});
    }
  }
  parameters_.insert(parameters_.end(), {&final_norm_.weight, &final_norm_.bias});
  if (!shape.tie_embeddings) {
    lm_head_ = std::make_unique<nn::Parameter>(device, "lm_head.weight", Shape{shape.vocab, shape.dim}, shape.dtype);
    parameters_.push_back(lm_head_.get());
  }
}

void Gpt::initialise(nn::Context& context, std::uint64_t seed) {
  constexpr double kStddev = 0.02;
  // Dropout draws from the lower half of the seed's offsets, so the weights share no number with any mask.
  nn::Generator generator({.seed = seed, .offset = std::uint64_t{1} << 63});
  for (nn::Parameter* parameter : parameters_) {
    const std::string& name = parameter->name();
    if (parameter->shape().rank() >= 2) {
      const bool residual = name.ends_with("c_proj.weight");
      const double stddev = residual ? kStddev / std::sqrt(2.0 * static_cast<double>(shape_.layers)) : kStddev;
      parameter->fill_normal(context, stddev, generator.draw(2 * parameter->elems()));
    } else {
      parameter->fill(context, name.ends_with(".weight") ? 1.0F : 0.0F);
    }
  }
}

Var Gpt::hidden(Tape& tape, Var tokens) {
  Var x = nn::embedding(tape, std::move(tokens), token_table_.on(tape), position_table_.on(tape));
  x = nn::dropout(tape, std::move(x), dropout(), "x");
  for (const std::unique_ptr<Block>& block : blocks_) {
    x = (*block)(tape, std::move(x), shape_.heads, dropout());
  }
  return final_norm_(tape, std::move(x), "ln_f");
}

Var Gpt::loss(Tape& tape, Var tokens, Var targets, float scale) {
  return nn::cross_entropy_head(tape, hidden(tape, std::move(tokens)), head_table().on(tape), std::move(targets),
                                scale);
}

Tensor Gpt::next_logits(nn::Context& context, const Tensor& tokens) {
  Tape tape(context, {.record = false});
  const Var x = hidden(tape, tape.leaf(tokens));
  const std::int64_t batch = x.shape()[0];
  const std::int64_t seq_len = x.shape()[1];
  Tensor last(context.device(), Shape{batch, shape_.dim}, x.dtype(), nn::Tag::workspace);
  const Bytes row_bytes = shape_.dim * size_of(x.dtype());
  for (std::int64_t b = 0; b < batch; ++b) {
    context.device().copy(static_cast<std::byte*>(last.data()) + b * row_bytes,
                          static_cast<const std::byte*>(x.data().data()) + ((b + 1) * seq_len - 1) * row_bytes,
                          row_bytes);
  }
  return nn::head_logits(context, last, head_table().working());
}

std::int64_t Gpt::parameter_count() const {
  std::int64_t count = 0;
  for (const nn::Parameter* parameter : parameters_) {
    count += parameter->elems();
  }
  return count;
}

Flops Gpt::step_flops(std::int64_t batch, std::int64_t seq_len) const {
  // A weight multiplies once in forward and twice in backward; the position table never does, nor an untied token
  // table.
  const std::int64_t multiplying = parameter_count() - position_table_.elems() - (lm_head_ ? token_table_.elems() : 0);
  const std::int64_t tokens = batch * seq_len;
  const Flops attention = shape_.layers * 2 * tokens * seq_len * shape_.dim;  // causal: half of all pairs
  return 6 * multiplying * tokens + 3 * attention;
}

}  // namespace retape::trainer
