#include "nn/ops/linear.h"

#include <cmath>
#include <numbers>

#include "tests/support/op_case.h"

namespace retape::nn {
namespace {

Array64 affine(const ReferenceInputs& in) {
  const Array64& x = in[0];
  const Array64& weight = in[1];
  Array64 y(x.shape.with_back(weight.shape[1]));
  for (std::int64_t r = 0; r < x.shape.rows(); ++r) {
    for (std::int64_t n = 0; n < weight.shape[1]; ++n) {
      y(r, n) = in[2][n];
      for (std::int64_t k = 0; k < weight.shape[0]; ++k) {
        y(r, n) += x(r, k) * weight(k, n);
      }
    }
  }
  return y;
}

Array64 affine_gelu(const ReferenceInputs& in) {
  Array64 y = affine(in);
  for (double& value : y.values) {
    const double inner = std::sqrt(2 / std::numbers::pi) * (value + 0.044715 * value * value * value);
    value = value / 2 * (1 + std::tanh(inner));
  }
  return y;
}

OpCase linear_of(std::string name, const Shape& x, std::int64_t columns) {
  const std::int64_t channels = x.back();
  return {
      .name = std::move(name),
      .inputs = {activation("x", x),
                 parameter("weight", {channels, columns}, 1 / std::sqrt(static_cast<double>(channels))),
                 parameter("bias", {columns})},
      .apply = [](Tape& tape, const Vars& in) { return linear(tape, in[0], in[1], in[2]); },
      .reference = affine,
      .op = declared<Linear>({}),
  };
}

OpCase linear_gelu_of(std::string name, const Shape& x, std::int64_t columns) {
  OpCase op_case = linear_of(std::move(name), x, columns);
  op_case.apply = [](Tape& tape, const Vars& in) { return linear_gelu(tape, in[0], in[1], in[2]); };
  op_case.reference = affine_gelu;
  op_case.op = declared<LinearGelu>({});
  return op_case;
}

INSTANTIATE_TEST_SUITE_P(Linear, OpCaseTest,
                         testing::ValuesIn(in_both_dtypes({
                             linear_of("one_by_one", {7, 1}, 1),
                             linear_of("odd", {7, 5}, 97),
                             linear_of("one_row", {97}, 5),
                             linear_of("batched", {2, 33, 97}, 33),
                         })),
                         op_case_name);

INSTANTIATE_TEST_SUITE_P(LinearGelu, OpCaseTest,
                         testing::ValuesIn(in_both_dtypes({
                             linear_gelu_of("one_channel", {7, 1}, 5),
                             linear_gelu_of("one_column", {33, 5}, 1),
                             linear_gelu_of("odd", {7, 5}, 97),
                             linear_gelu_of("one_row", {97}, 5),
                             linear_gelu_of("batched", {2, 33, 97}, 33),
                         })),
                         op_case_name);

Var apply_linear(Tape& tape, const Vars& in) {
  return linear(tape, in[0], in[1], in[2]);
}
Var apply_linear_gelu(Tape& tape, const Vars& in) {
  return linear_gelu(tape, in[0], in[1], in[2]);
}

INSTANTIATE_TEST_SUITE_P(
    Linear, OpErrorTest,
    testing::Values(
        OpErrorCase{
            "scalar", {{{}}, {{1, 2}}, {{2}}}, apply_linear, "[linear] x: expected at least 1 dimension, got a scalar"},
        OpErrorCase{"indices",
                    {{{7, 5}, DType::i32}, {{5, 3}}, {{3}}},
                    apply_linear,
                    "[linear] x: expected f32 or bf16, got i32"},
        OpErrorCase{
            "weight_rank", {{{7, 5}}, {{5}}, {{5}}}, apply_linear, "[linear] weight: expected 2 dimensions, got [5]"},
        OpErrorCase{
            "weight", {{{7, 5}}, {{3, 5}}, {{5}}}, apply_linear, "[linear] weight: expected [5, 5], got [3, 5]"},
        OpErrorCase{"weight_dtype",
                    {{{7, 5}}, {{5, 3}, DType::bf16}, {{3}}},
                    apply_linear,
                    "[linear] weight: expected f32, got bf16"},
        OpErrorCase{"bias", {{{7, 5}}, {{5, 3}}, {{5}}}, apply_linear, "[linear] bias: expected [3], got [5]"},
        OpErrorCase{"no_rows",
                    {{{0, 5}}, {{5, 3}}, {{3}}},
                    apply_linear,
                    "[linear] x: expected at least one element, got [0, 5]"},
        OpErrorCase{"no_channels",
                    {{{7, 0}}, {{0, 3}}, {{3}}},
                    apply_linear,
                    "[linear] x: expected at least one element, got [7, 0]"},
        OpErrorCase{"no_columns",
                    {{{7, 5}}, {{5, 0}}, {{0}}},
                    apply_linear,
                    "[linear] weight: expected at least one element, got [5, 0]"},
        OpErrorCase{"gelu_no_channels",
                    {{{7, 0}}, {{0, 3}}, {{3}}},
                    apply_linear_gelu,
                    "[linear_gelu] x: expected at least one element, got [7, 0]"},
        OpErrorCase{"gelu_bias",
                    {{{7, 5}}, {{5, 3}}, {{3}, DType::bf16}},
                    apply_linear_gelu,
                    "[linear_gelu] bias: expected f32, got bf16"}),
    op_error_name);

}  // namespace
}  // namespace retape::nn
