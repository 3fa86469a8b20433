#include "nn/ops/losses.h"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/support/op_case.h"

namespace retape::nn {
namespace {

Array64 cross_entropy_of_rows(const ReferenceInputs& in) {
  const Array64& logits = in[0];
  const std::int64_t rows = logits.shape.rows();
  Array64 loss(Shape{});
  for (std::int64_t r = 0; r < rows; ++r) {
    double sum = 0;
    for (std::int64_t v = 0; v < logits.shape.back(); ++v) {
      sum += std::exp(logits(r, v));
    }
    loss[0] += (std::log(sum) - logits(r, static_cast<std::int64_t>(in[1][r]))) / static_cast<double>(rows);
  }
  return loss;
}

OpCase cross_entropy_of(std::string name, OpInput logits) {
  const Shape shape = logits.shape;
  return {
      .name = std::move(name),
      .inputs = {std::move(logits), indices("targets", shape.without_back(), shape.back())},
      .apply = [](Tape& tape, const Vars& in) { return cross_entropy(tape, in[0], in[1]); },
      .reference = cross_entropy_of_rows,
      .op = declared<MeanCrossEntropy>({}),
  };
}

INSTANTIATE_TEST_SUITE_P(CrossEntropy, OpCaseTest,
                         testing::ValuesIn(in_both_dtypes({
                             cross_entropy_of("one_row", activation("logits", {97})),
                             cross_entropy_of("one_word", activation("logits", {7, 1})),
                             cross_entropy_of("odd", activation("logits", {2, 33, 5}, 2)),
                             cross_entropy_of("parameter", parameter("logits", {7, 1500})),
                         })),
                         op_case_name);

TEST(CrossEntropy, RefusesATargetThatIsNoId) {
  Device device({.kind = DeviceKind::cpu, .threads = 1});
  Context context(device);
  Tape tape(context);
  Tensor targets(device, Shape{2}, DType::i32, Tag::parameters);
  targets.from_host<std::int32_t>(std::array{4, -100});
  const Var logits = tape.leaf(Tensor(device, Shape{2, 5}, DType::f32, Tag::parameters));
  EXPECT_THAT([&] { cross_entropy(tape, logits, tape.leaf(targets)); },
              testing::ThrowsMessage<DataError>("[cross_entropy] targets: expected ids in [0, 5), got -100 at 1"));
}

Var apply_cross_entropy(Tape& tape, const Vars& in) {
  return cross_entropy(tape, in[0], in[1]);
}

INSTANTIATE_TEST_SUITE_P(
    CrossEntropy, OpErrorTest,
    testing::Values(OpErrorCase{"scalar",
                                {{{}}, {{}, DType::i32}},
                                apply_cross_entropy,
                                "[cross_entropy] logits: expected at least 1 dimension, got a scalar"},
                    OpErrorCase{"targets",
                                {{{2, 7, 5}}, {{14}, DType::i32}},
                                apply_cross_entropy,
                                "[cross_entropy] targets: expected [2, 7], got [14]"},
                    OpErrorCase{"targets_dtype",
                                {{{7, 5}}, {{7}}},
                                apply_cross_entropy,
                                "[cross_entropy] targets: expected i32, got f32"},
                    OpErrorCase{"indices",
                                {{{7, 5}, DType::i32}, {{7}, DType::i32}},
                                apply_cross_entropy,
                                "[cross_entropy] logits: expected f32 or bf16, got i32"},
                    OpErrorCase{"empty",
                                {{{0, 5}}, {{0}, DType::i32}},
                                apply_cross_entropy,
                                "[cross_entropy] logits: expected at least one element, got [0, 5]"}),
    op_error_name);

Array64 squared_error(const ReferenceInputs& in) {
  Array64 loss(Shape{});
  const Elems elems = in[0].shape.elems();
  for (Elems i = 0; i < elems; ++i) {
    loss[0] += std::pow(in[0][i] - in.arrays.back()[i], 2) / static_cast<double>(elems);
  }
  return loss;
}

OpCase squared_error_of(std::string name, OpInput x, OpInput target) {
  return {
      .name = std::move(name),
      .inputs = {std::move(x), std::move(target)},
      .apply = [](Tape& tape, const Vars& in) { return mean_squared_error(tape, in[0], in[1]); },
      .reference = squared_error,
      .op = declared<MeanSquaredError>({}),
  };
}

INSTANTIATE_TEST_SUITE_P(
    MeanSquaredError, OpCaseTest,
    testing::ValuesIn(in_both_dtypes({
        squared_error_of("one", activation("x", {}), activation("target", {})),
        squared_error_of("odd", activation("x", {7, 33, 5}), around(1, activation("target", {7, 33, 5}))),
        squared_error_of("several_blocks", activation("x", {3, 97, 97}), parameter("target", {3, 97, 97})),
    })),
    op_case_name);

Var apply_squared_error(Tape& tape, const Vars& in) {
  return mean_squared_error(tape, in[0], in[1]);
}

INSTANTIATE_TEST_SUITE_P(MeanSquaredError, OpErrorTest,
                         testing::Values(OpErrorCase{"shapes",
                                                     {{{7, 5}}, {{5, 7}}},
                                                     apply_squared_error,
                                                     "[mean_squared_error] target: expected [7, 5], got [5, 7]"},
                                         OpErrorCase{"dtypes",
                                                     {{{7}}, {{7}, DType::bf16}},
                                                     apply_squared_error,
                                                     "[mean_squared_error] target: expected f32, got bf16"},
                                         OpErrorCase{"indices",
                                                     {{{7}, DType::i32}, {{7}, DType::i32}},
                                                     apply_squared_error,
                                                     "[mean_squared_error] x: expected f32 or bf16, got i32"},
                                         OpErrorCase{"empty",
                                                     {{{0}}, {{0}}},
                                                     apply_squared_error,
                                                     "[mean_squared_error] x: expected at least one element, got [0]"}),
                         op_error_name);

}  // namespace
}  // namespace retape::nn
