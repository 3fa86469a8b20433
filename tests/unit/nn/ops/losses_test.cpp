#include "nn/ops/losses.h"

#include <cmath>

#include "tests/support/op_case.h"

namespace retape::nn {
namespace {

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
