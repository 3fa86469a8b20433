#include "nn/ops/cross_entropy_head.h"

#include <gmock/gmock.h>

#include <cmath>
#include <functional>

#include "nn/ops/arithmetic.h"
#include "nn/ops/embedding.h"
#include "tests/support/op_case.h"

namespace retape::nn {
namespace {

// x [rows, C], table [V, C]
Array64 reference(const Array64& x, const Array64& table, const Array64& targets, float scale) {
  Array64 loss(Shape{});
  const std::int64_t rows = x.shape.rows();
  for (std::int64_t r = 0; r < rows; ++r) {
    double sum = 0;
    double of_target = 0;
    for (std::int64_t v = 0; v < table.shape[0]; ++v) {
      double logit = 0;
      for (std::int64_t c = 0; c < table.shape[1]; ++c) {
        logit += x(r, c) * table(v, c);
      }
      sum += std::exp(logit);
      of_target = v == static_cast<std::int64_t>(targets[r]) ? logit : of_target;
    }
    loss[0] += scale * (std::log(sum) - of_target) / static_cast<double>(rows);
  }
  return loss;
}

OpCase head_of(std::string name, const Shape& x, std::int64_t vocab, float scale) {
  const std::int64_t channels = x.back();
  return {
      .name = std::move(name),
      .inputs = {activation("x", x),
                 parameter("table", {vocab, channels}, 1 / std::sqrt(static_cast<double>(channels))),
                 indices("targets", {x[0], x[1]}, vocab)},
      .apply = [scale](Tape& tape, const Vars& in) { return cross_entropy_head(tape, in[0], in[1], in[2], scale); },
      .reference = [scale](const ReferenceInputs& in) { return reference(in[0], in[1], in[2], scale); },
      .op = declared<CrossEntropyHead>({scale}),
  };
}

// The table is that of the embedding too; its gradient is the sum of both uses.
OpCase tied_of(std::string name, const Shape& tokens, std::int64_t vocab, std::int64_t channels) {
  return {
      .name = std::move(name),
      .inputs = {indices("tokens", tokens, vocab), parameter("table", {vocab, channels}, 0.5),
                 parameter("position_table", {tokens[1], channels}, 0.5), indices("targets", tokens, vocab)},
      .apply =
          [](Tape& tape, const Vars& in) {
            return cross_entropy_head(tape, embedding(tape, in[0], in[1], in[2]), in[1], in[3]);
          },
      .reference =
          [](const ReferenceInputs& in) {
            const Shape& tokens = in[0].shape;
            Array64 x({tokens[0], tokens[1], in[1].shape[1]});
            for (std::int64_t row = 0; row < tokens.elems(); ++row) {
              for (std::int64_t c = 0; c < x.shape.back(); ++c) {
                x(row, c) = in[1](static_cast<std::int64_t>(in[0][row]), c) + in[2](row % tokens[1], c);
              }
            }
            return reference(x, in[1], in[3], 1);
          },
      .op = std::nullopt,
  };
}

INSTANTIATE_TEST_SUITE_P(CrossEntropyHead, OpCaseTest,
                         testing::ValuesIn(in_both_dtypes({
                             head_of("one_row", {1, 1, 5}, 97, 1),
                             head_of("one_channel", {1, 7, 1}, 5, 1),
                             head_of("one_word", {1, 7, 5}, 1, 1),
                             head_of("uneven_chunks", {1, 7, 33}, 97, 1),
                             head_of("scaled", {2, 33, 5}, 97, 0.25F),
                             tied_of("tied", {2, 33}, 97, 5),
                         })),
                         op_case_name);

TEST(CrossEntropyHead, CutsRowsIntoChunks) {
  EXPECT_EQ(head_chunk_rows(1, 97), 1);
  EXPECT_EQ(head_chunk_rows(7, 97), 2);
  EXPECT_EQ(head_chunk_rows(4096, 50257), 64_MiB / (50257 * size_of(DType::f32)));
  EXPECT_EQ(head_chunk_rows(4, 1 << 30), 1);
}

// Of a head with so many rows, forward and backward on a device.
MemoryStats memory_of_head(DeviceKind kind, std::int64_t rows, std::int64_t vocab, DType dtype) {
  Device device({.kind = kind, .threads = 2});
  Context context(device);
  Tape tape(context);
  const auto zeros = [&](const Shape& shape, DType of) {
    Tensor tensor(device, shape, of, Tag::parameters);
    tensor.fill_zero();
    return tensor;
  };
  GradientSlot of_x{.dtype = dtype};
  GradientSlot of_table;
  const Var x = tape.leaf(zeros({1, rows, 2}, dtype), &of_x);
  const Var table = tape.leaf(zeros({vocab, 2}, dtype), &of_table);
  tape.backward(cross_entropy_head(tape, x, table, tape.leaf(zeros({1, rows}, DType::i32))));
  return device.memory().stats();
}

TEST(CrossEntropyHead, IsPredictedFromItsFirstAndLastChunks) {
  constexpr std::int64_t kVocab = 1 << 16;
  constexpr std::int64_t kRows = 1044;  // four chunks of 256, and one of 20
  ASSERT_EQ(head_chunk_rows(kRows, kVocab), 256);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    MemoryStats predicted = memory_of_head(DeviceKind::meta, kRows, kVocab, dtype);
    const MemoryStats measured = memory_of_head(DeviceKind::cpu, kRows, kVocab, dtype);
    predicted.allocations = measured.allocations;  // the only thing that differs
    EXPECT_EQ(predicted, measured) << name(dtype);

    const auto allocations = [&](std::int64_t rows) {
      return memory_of_head(DeviceKind::meta, rows, kVocab, dtype).allocations;
    };
    EXPECT_EQ(allocations(std::int64_t{1} << 30), allocations(kRows)) << name(dtype);
  }
}

// However backward comes by a gradient of the loss that is not 1; on meta with the same memory.
TEST(CrossEntropyHead, GradientsAreThoseOfTheLossTimesIts) {
  constexpr float kFactor = 2.5F;
  using Backward = std::function<void(Tape&, Var)>;
  const auto differentiate = [](DeviceKind kind, const Backward& backward) {
    Device device({.kind = kind, .threads = 1});
    Context context(device);
    Tape tape(context);
    Tensor x(device, {1, 2, 2}, DType::f32, Tag::parameters);
    Tensor table(device, {3, 2}, DType::f32, Tag::parameters);
    Tensor targets(device, {1, 2}, DType::i32, Tag::parameters);
    x.from_host<float>(std::array{1.0F, 2.0F, -1.0F, 0.5F});
    table.from_host<float>(std::array{1.0F, 0.0F, 0.0F, 1.0F, 2.0F, -2.0F});
    targets.from_host<std::int32_t>(std::array{2, 0});
    GradientSlot of_x;
    GradientSlot of_table;
    backward(tape, cross_entropy_head(tape, tape.leaf(x, &of_x), tape.leaf(table, &of_table), tape.leaf(targets)));
    std::vector<float> gradients = of_x.gradient.to_host<float>();
    const std::vector<float> more = of_table.gradient.to_host<float>();
    gradients.insert(gradients.end(), more.begin(), more.end());
    return std::pair(gradients, device.memory().stats());
  };
  std::vector<float> expected =
      differentiate(DeviceKind::cpu, [](Tape& tape, Var loss) { tape.backward(std::move(loss)); }).first;
  for (float& gradient : expected) {
    gradient *= kFactor;
  }
  const std::vector<Backward> ways{
      [](Tape& tape, Var loss) { tape.backward(std::move(loss), {.seed = kFactor}); },
      [](Tape& tape, Var loss) {
        Tensor dy(tape.context().device(), Shape{}, DType::f32, Tag::gradients);
        dy.from_host<float>(std::array{kFactor});
        tape.backward(std::move(loss), std::move(dy));
      },
      [](Tape& tape, Var loss) { tape.backward(scale(tape, std::move(loss), kFactor)); },
  };
  for (const Backward& way : ways) {
    const auto [gradients, memory] = differentiate(DeviceKind::cpu, way);
    EXPECT_EQ(gradients, expected);
    EXPECT_EQ(memory, differentiate(DeviceKind::meta, way).second);
  }
}

TEST(CrossEntropyHead, GivesLogitsForSampling) {
  Device device({.kind = DeviceKind::cpu, .threads = 1});
  Context context(device);
  Tensor x(device, Shape{2, 2}, DType::f32, Tag::activations);
  Tensor table(device, Shape{3, 2}, DType::f32, Tag::parameters);
  x.from_host<float>(std::array{1.0F, 2.0F, -1.0F, 0.5F});
  table.from_host<float>(std::array{1.0F, 0.0F, 0.0F, 1.0F, 2.0F, -2.0F});
  const Tensor logits = head_logits(context, x, table);
  EXPECT_EQ(logits.shape(), (Shape{2, 3}));
  EXPECT_THAT(logits.to_host<float>(), testing::ElementsAre(1, 2, -2, -1, 0.5, -3));
}

TEST(CrossEntropyHead, RefusesATargetThatIsNoId) {
  Device device({.kind = DeviceKind::cpu, .threads = 1});
  Context context(device);
  Tape tape(context);
  Tensor targets(device, Shape{1, 2}, DType::i32, Tag::parameters);
  targets.from_host<std::int32_t>(std::array{2, 3});
  const Var x = tape.leaf(Tensor(device, Shape{1, 2, 5}, DType::f32, Tag::parameters));
  const Var table = tape.leaf(Tensor(device, Shape{3, 5}, DType::f32, Tag::parameters));
  EXPECT_THAT([&] { cross_entropy_head(tape, x, table, tape.leaf(targets)); },
              testing::ThrowsMessage<DataError>("[cross_entropy_head] targets: expected ids in [0, 3), got 3 at 1"));
}

Var apply(Tape& tape, const Vars& in) {
  return cross_entropy_head(tape, in[0], in[1], in[2]);
}
Var apply_logits(Tape& tape, const Vars& in) {
  return tape.leaf(head_logits(tape.context(), in[0].data(), in[1].data()));
}

INSTANTIATE_TEST_SUITE_P(
    CrossEntropyHead, OpErrorTest,
    testing::Values(OpErrorCase{"rank",
                                {{{7, 5}}, {{97, 5}}, {{7}, DType::i32}},
                                apply,
                                "[cross_entropy_head] x: expected 3 dimensions, got [7, 5]"},
                    OpErrorCase{"table",
                                {{{2, 7, 5}}, {{97, 4}}, {{2, 7}, DType::i32}},
                                apply,
                                "[cross_entropy_head] table: expected [97, 5], got [97, 4]"},
                    OpErrorCase{"table_dtype",
                                {{{2, 7, 5}}, {{97, 5}, DType::bf16}, {{2, 7}, DType::i32}},
                                apply,
                                "[cross_entropy_head] table: expected f32, got bf16"},
                    OpErrorCase{"empty_table",
                                {{{2, 7, 5}}, {{0, 5}}, {{2, 7}, DType::i32}},
                                apply,
                                "[cross_entropy_head] table: expected at least one element, got [0, 5]"},
                    OpErrorCase{"targets",
                                {{{2, 7, 5}}, {{97, 5}}, {{14}, DType::i32}},
                                apply,
                                "[cross_entropy_head] targets: expected [2, 7], got [14]"},
                    OpErrorCase{"targets_dtype",
                                {{{2, 7, 5}}, {{97, 5}}, {{2, 7}}},
                                apply,
                                "[cross_entropy_head] targets: expected i32, got f32"},
                    OpErrorCase{"no_rows",
                                {{{2, 0, 5}}, {{97, 5}}, {{2, 0}, DType::i32}},
                                apply,
                                "[cross_entropy_head] x: expected at least one element, got [2, 0, 5]"},
                    OpErrorCase{"logits_table",
                                {{{7, 5}}, {{97, 4}}},
                                apply_logits,
                                "[head_logits] table: expected [97, 5], got [97, 4]"},
                    OpErrorCase{"logits_no_channels",
                                {{{7, 0}}, {{97, 0}}},
                                apply_logits,
                                "[head_logits] x: expected at least one element, got [7, 0]"},
                    OpErrorCase{"logits_empty_table",
                                {{{7, 5}}, {{0, 5}}},
                                apply_logits,
                                "[head_logits] table: expected at least one element, got [0, 5]"},
                    OpErrorCase{"logits_dtype",
                                {{{7, 5}, DType::bf16}, {{97, 5}}},
                                apply_logits,
                                "[head_logits] table: expected bf16, got f32"},
                    OpErrorCase{"logits_indices",
                                {{{7, 5}, DType::i32}, {{97, 5}, DType::i32}},
                                apply_logits,
                                "[head_logits] x: expected f32 or bf16, got i32"}),
    op_error_name);

}  // namespace
}  // namespace retape::nn
