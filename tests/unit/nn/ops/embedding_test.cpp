#include "nn/ops/embedding.h"

#include <gmock/gmock.h>

#include <limits>

#include "tests/support/op_case.h"

namespace retape::nn {
namespace {

Array64 reference(const ReferenceInputs& in) {
  const Shape& tokens = in[0].shape;
  const std::int64_t channels = in[1].shape[1];
  Array64 out({tokens[0], tokens[1], channels});
  for (std::int64_t row = 0; row < tokens.elems(); ++row) {
    for (std::int64_t c = 0; c < channels; ++c) {
      out(row, c) = in[1](static_cast<std::int64_t>(in[0][row]), c) + in[2](row % tokens[1], c);
    }
  }
  return out;
}

struct Extents {
  std::int64_t batch, seq_len, vocab, positions, channels;
};

OpCase embedding_of(std::string name, const Extents& e) {
  return {
      .name = std::move(name),
      .inputs = {indices("tokens", {e.batch, e.seq_len}, e.vocab), parameter("token_table", {e.vocab, e.channels}),
                 parameter("position_table", {e.positions, e.channels})},
      .apply = [](Tape& tape, const Vars& in) { return embedding(tape, in[0], in[1], in[2]); },
      .reference = reference,
      .op = declared<Embedding>({}),
  };
}

INSTANTIATE_TEST_SUITE_P(Embedding, OpCaseTest,
                         testing::ValuesIn(in_both_dtypes({
                             embedding_of("one_channel", {2, 7, 5, 7, 1}),
                             embedding_of("one_position", {7, 1, 97, 3, 5}),
                             embedding_of("repeated_tokens", {3, 33, 5, 40, 97}),
                             embedding_of("many_tokens", {2, 33, 97, 33, 33}),
                         })),
                         op_case_name);

TEST(Embedding, RefusesAnIdThatTheTableDoesNotHave) {
  for (const std::int32_t foreign : {-1, 97, std::numeric_limits<std::int32_t>::max()}) {
    Device device({.kind = DeviceKind::cpu, .threads = 1});
    Context context(device);
    Tape tape(context);
    Tensor tokens(device, Shape{1, 3}, DType::i32, Tag::parameters);
    tokens.from_host<std::int32_t>(std::array{0, 96, foreign});
    const Var table = tape.leaf(Tensor(device, Shape{97, 5}, DType::f32, Tag::parameters));
    EXPECT_THAT([&] { embedding(tape, tape.leaf(tokens), table, table); },
                testing::ThrowsMessage<DataError>(
                    fmt::format("[embedding] tokens: expected ids in [0, 97), got {} at 2", foreign)));
  }
}

Var apply(Tape& tape, const Vars& in) {
  return embedding(tape, in[0], in[1], in[2]);
}

INSTANTIATE_TEST_SUITE_P(Embedding, OpErrorTest,
                         testing::Values(OpErrorCase{"tokens_rank",
                                                     {{{7}, DType::i32}, {{97, 5}}, {{8, 5}}},
                                                     apply,
                                                     "[embedding] tokens: expected 2 dimensions, got [7]"},
                                         OpErrorCase{"tokens_dtype",
                                                     {{{2, 7}}, {{97, 5}}, {{8, 5}}},
                                                     apply,
                                                     "[embedding] tokens: expected i32, got f32"},
                                         OpErrorCase{"too_long",
                                                     {{{2, 9}, DType::i32}, {{97, 5}}, {{8, 5}}},
                                                     apply,
                                                     "[embedding] tokens: expected at most 8 positions, got 9"},
                                         OpErrorCase{"no_tokens",
                                                     {{{2, 0}, DType::i32}, {{97, 5}}, {{8, 5}}},
                                                     apply,
                                                     "[embedding] tokens: expected at least one element, got [2, 0]"},
                                         OpErrorCase{"empty_table",
                                                     {{{2, 7}, DType::i32}, {{0, 5}}, {{8, 5}}},
                                                     apply,
                                                     "[embedding] token_table: expected at least one element, got "
                                                     "[0, 5]"},
                                         OpErrorCase{"table_rank",
                                                     {{{2, 7}, DType::i32}, {{97}}, {{8, 5}}},
                                                     apply,
                                                     "[embedding] token_table: expected 2 dimensions, got [97]"},
                                         OpErrorCase{"position_table",
                                                     {{{2, 7}, DType::i32}, {{97, 5}}, {{8, 4}}},
                                                     apply,
                                                     "[embedding] position_table: expected [8, 5], got [8, 4]"},
                                         OpErrorCase{"position_dtype",
                                                     {{{2, 7}, DType::i32}, {{97, 5}, DType::bf16}, {{8, 5}}},
                                                     apply,
                                                     "[embedding] position_table: expected bf16, got f32"}),
                         op_error_name);

}  // namespace
}  // namespace retape::nn
