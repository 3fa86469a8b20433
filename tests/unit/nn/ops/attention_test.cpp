#include "nn/ops/attention.h"

#include <cmath>

#include "tests/support/op_case.h"

namespace retape::nn {
namespace {

// The definition, head by head, with whole rows of probabilities.
class ReferenceHead {
 public:
  ReferenceHead(const ReferenceInputs& in, std::int64_t heads, float dropout)
      : qkv_(in[0]),
        rng_(in.rng),
        heads_(heads),
        seq_len_(qkv_.shape[1]),
        head_dim_(qkv_.shape[2] / 3 / heads),
        dropout_(dropout) {}

  void attend(Array64& out, std::int64_t b, std::int64_t h, std::int64_t i) const {
    std::vector<double> weights;
    double sum = 0;
    for (std::int64_t j = 0; j <= i; ++j) {
      double score = 0;
      for (std::int64_t d = 0; d < head_dim_; ++d) {
        score += at(b, i, 0, h, d) * at(b, j, 1, h, d);
      }
      weights.push_back(std::exp(score / std::sqrt(static_cast<double>(head_dim_))));
      sum += weights.back();
    }
    for (std::int64_t j = 0; j <= i; ++j) {
      const double weight = weights[static_cast<std::size_t>(j)] / sum * kept(b, h, i, j);
      for (std::int64_t d = 0; d < head_dim_; ++d) {
        out(b * seq_len_ + i, h * head_dim_ + d) += weight * at(b, j, 2, h, d);
      }
    }
  }

 private:
  // Element d of row t of q, k or v (part 0, 1 or 2).
  double at(std::int64_t b, std::int64_t t, std::int64_t part, std::int64_t h, std::int64_t d) const {
    return qkv_(b * seq_len_ + t, (part * heads_ + h) * head_dim_ + d);
  }
  double kept(std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) const {
    const Elems element = ((b * heads_ + h) * seq_len_ + i) * seq_len_ + j;
    const bool dropped = dropout_ > 0 && rng_.bits(element) < drop_threshold(dropout_);
    return dropped ? 0 : 1 / (1 - double{dropout_});
  }

  const Array64& qkv_;
  RngRange rng_;
  std::int64_t heads_;
  std::int64_t seq_len_;
  std::int64_t head_dim_;
  float dropout_;
};

Array64 reference(const ReferenceInputs& in, std::int64_t heads, float dropout) {
  const Shape& qkv = in[0].shape;
  const ReferenceHead head(in, heads, dropout);
  Array64 out(qkv.with_back(qkv[2] / 3));
  for (std::int64_t b = 0; b < qkv[0]; ++b) {
    for (std::int64_t h = 0; h < heads; ++h) {
      for (std::int64_t i = 0; i < qkv[1]; ++i) {
        head.attend(out, b, h, i);
      }
    }
  }
  return out;
}

struct Extents {
  std::int64_t batch, seq_len, heads, head_dim;
};

OpCase attention_of(std::string name, const Extents& e, float dropout) {
  const std::int64_t heads = e.heads;
  return {
      .name = std::move(name),
      .inputs = {activation("qkv", {e.batch, e.seq_len, 3 * e.heads * e.head_dim})},
      .apply = [=](Tape& tape, const Vars& in) { return attention(tape, in[0], heads, dropout); },
      .reference = [=](const ReferenceInputs& in) { return reference(in, heads, dropout); },
      .op = declared<Attention>({heads, dropout}),
      .random_elems = dropout > 0 ? e.batch * e.heads * e.seq_len * e.seq_len : 0,
  };
}

INSTANTIATE_TEST_SUITE_P(Attention, OpCaseTest,
                         testing::ValuesIn(in_both_dtypes({
                             attention_of("one_position", {2, 1, 3, 5}, 0),
                             attention_of("one_channel", {1, 7, 1, 1}, 0),
                             attention_of("odd", {2, 33, 3, 5}, 0),
                             attention_of("dropout", {2, 33, 3, 5}, 0.1F),
                             attention_of("dropout_half", {1, 7, 2, 97}, 0.5F),
                             attention_of("several_blocks", {1, 150, 1, 16}, 0.1F),
                         })),
                         op_case_name);

OpErrorCase error_of(std::string name, OpErrorCase::Input qkv, std::int64_t heads, float dropout, std::string message) {
  return {std::move(name),
          {qkv},
          [=](Tape& tape, const Vars& in) { return attention(tape, in[0], heads, dropout); },
          std::move(message)};
}

INSTANTIATE_TEST_SUITE_P(
    Attention, OpErrorTest,
    testing::Values(
        error_of("rank", {{7, 15}}, 1, 0, "[attention] qkv: expected 3 dimensions, got [7, 15]"),
        error_of("indices", {{2, 7, 15}, DType::i32}, 1, 0, "[attention] qkv: expected f32 or bf16, got i32"),
        error_of("heads", {{2, 7, 15}}, 2, 0,
                 "[attention] qkv: expected a last extent that 3 x 2 heads divide, got [2, 7, 15]"),
        error_of("no_heads", {{2, 7, 15}}, 0, 0,
                 "[attention] qkv: expected a last extent that 3 x 0 heads divide, got [2, 7, 15]"),
        error_of("no_batch", {{0, 7, 15}}, 5, 0, "[attention] qkv: expected at least one element, got [0, 7, 15]"),
        error_of("no_positions", {{2, 0, 15}}, 5, 0, "[attention] qkv: expected at least one element, got [2, 0, 15]"),
        error_of("no_channels", {{2, 7, 0}}, 5, 0, "[attention] qkv: expected at least one element, got [2, 7, 0]"),
        error_of("dropout", {{2, 7, 15}}, 5, 1, "[attention] p: expected a probability in [0, 1), got 1")),
    op_error_name);

}  // namespace
}  // namespace retape::nn
