#include "nn/ops/softmax.h"

#include <algorithm>
#include <cmath>

#include "tests/support/op_case.h"

namespace retape::nn {
namespace {

Array64 reference(const Array64& x, bool logarithm) {
  Array64 y(x.shape);
  for (std::int64_t r = 0; r < x.shape.rows(); ++r) {
    double sum = 0;
    for (std::int64_t c = 0; c < x.shape.back(); ++c) {
      sum += std::exp(x(r, c));
    }
    for (std::int64_t c = 0; c < x.shape.back(); ++c) {
      y(r, c) = logarithm ? x(r, c) - std::log(sum) : std::exp(x(r, c)) / sum;
    }
  }
  return y;
}

OpCase softmax_of(std::string name, OpInput x) {
  return {
      .name = std::move(name),
      .inputs = {std::move(x)},
      .apply = [](Tape& tape, const Vars& in) { return softmax(tape, in[0]); },
      .reference = [](const ReferenceInputs& in) { return reference(in[0], false); },
      .op = declared<Softmax<false>>({}),
  };
}

OpCase log_softmax_of(std::string name, OpInput x) {
  return {
      .name = std::move(name),
      .inputs = {std::move(x)},
      .apply = [](Tape& tape, const Vars& in) { return log_softmax(tape, in[0]); },
      .reference = [](const ReferenceInputs& in) { return reference(in[0], true); },
      .op = declared<Softmax<true>>({}),
  };
}

INSTANTIATE_TEST_SUITE_P(Softmax, OpCaseTest,
                         testing::ValuesIn(in_both_dtypes({
                             softmax_of("one_row", activation("x", {97})),
                             softmax_of("one_column", activation("x", {7, 1})),
                             softmax_of("odd", activation("x", {2, 33, 5}, 2)),
                             softmax_of("long_rows", parameter("x", {3, 1500}, 2)),
                         })),
                         op_case_name);

INSTANTIATE_TEST_SUITE_P(LogSoftmax, OpCaseTest,
                         testing::ValuesIn(in_both_dtypes({
                             log_softmax_of("one_row", activation("x", {97})),
                             log_softmax_of("one_column", activation("x", {7, 1})),
                             log_softmax_of("odd", activation("x", {2, 33, 5}, 2)),
                             log_softmax_of("long_rows", parameter("x", {3, 1500}, 2)),
                         })),
                         op_case_name);

Var apply_softmax(Tape& tape, const Vars& in) {
  return softmax(tape, in[0]);
}
Var apply_log_softmax(Tape& tape, const Vars& in) {
  return log_softmax(tape, in[0]);
}

INSTANTIATE_TEST_SUITE_P(
    Softmax, OpErrorTest,
    testing::Values(
        OpErrorCase{"scalar", {{{}}}, apply_softmax, "[softmax] x: expected at least 1 dimension, got a scalar"},
        OpErrorCase{"empty", {{{2, 0}}}, apply_softmax, "[softmax] x: expected at least one element, got [2, 0]"},
        OpErrorCase{
            "indices", {{{7}, DType::i32}}, apply_log_softmax, "[log_softmax] x: expected f32 or bf16, got i32"}),
    op_error_name);

}  // namespace
}  // namespace retape::nn
