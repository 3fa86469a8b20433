#include "nn/ops/layer_norm.h"

#include <cmath>

#include "tests/support/op_case.h"

namespace retape::nn {
namespace {

constexpr float kEps = 1e-5F;

Array64 reference(const ReferenceInputs& in) {
  const Array64& x = in[0];
  Array64 y(x.shape);
  const std::int64_t channels = x.shape.back();
  for (std::int64_t r = 0; r < x.shape.rows(); ++r) {
    double mean = 0;
    double variance = 0;
    for (std::int64_t c = 0; c < channels; ++c) {
      mean += x(r, c) / static_cast<double>(channels);
    }
    for (std::int64_t c = 0; c < channels; ++c) {
      variance += (x(r, c) - mean) * (x(r, c) - mean) / static_cast<double>(channels);
    }
    for (std::int64_t c = 0; c < channels; ++c) {
      y(r, c) = (x(r, c) - mean) / std::sqrt(variance + double{kEps}) * in[1][c] + in[2][c];
    }
  }
  return y;
}

OpCase layer_norm_of(std::string name, const Shape& x) {
  const Shape channels{x.back()};
  return {
      .name = std::move(name),
      .inputs = {activation("x", x), parameter("gamma", channels), parameter("beta", channels)},
      .apply = [](Tape& tape, const Vars& in) { return layer_norm(tape, in[0], in[1], in[2], kEps); },
      .reference = reference,
      .op = declared<LayerNorm>({kEps}),
  };
}

// The mean is the value: the gradient is terms of the size of 1 / sqrt(eps) that cancel.
OpCase layer_norm_of_one_channel() {
  OpCase op_case = layer_norm_of("one_channel", {7, 1});
  op_case.cancelling = 1 / std::sqrt(kEps);
  return op_case;
}

INSTANTIATE_TEST_SUITE_P(LayerNorm, OpCaseTest,
                         testing::ValuesIn(in_both_dtypes({
                             layer_norm_of_one_channel(),
                             layer_norm_of("five_channels", {2, 3, 5}),
                             layer_norm_of("one_row", {97}),
                             layer_norm_of("many_rows", {3, 33, 97}),
                             layer_norm_of("whole_vectors", {4, 64}),
                         })),
                         op_case_name);

Var apply(Tape& tape, const Vars& in) {
  return layer_norm(tape, in[0], in[1], in[2]);
}

INSTANTIATE_TEST_SUITE_P(
    LayerNorm, OpErrorTest,
    testing::Values(
        OpErrorCase{
            "scalar", {{{}}, {{1}}, {{1}}}, apply, "[layer_norm] x: expected at least 1 dimension, got a scalar"},
        OpErrorCase{
            "indices", {{{2, 5}, DType::i32}, {{5}}, {{5}}}, apply, "[layer_norm] x: expected f32 or bf16, got i32"},
        OpErrorCase{"no_channels",
                    {{{2, 0}}, {{0}}, {{0}}},
                    apply,
                    "[layer_norm] x: expected at least one element, got [2, 0]"},
        OpErrorCase{"gamma", {{{2, 5}}, {{4}}, {{5}}}, apply, "[layer_norm] gamma: expected [5], got [4]"},
        OpErrorCase{"beta", {{{2, 5}}, {{5}}, {{1, 5}}}, apply, "[layer_norm] beta: expected [5], got [1, 5]"},
        OpErrorCase{
            "beta_dtype", {{{2, 5}}, {{5}}, {{5}, DType::bf16}}, apply, "[layer_norm] beta: expected f32, got bf16"}),
    op_error_name);

}  // namespace
}  // namespace retape::nn
