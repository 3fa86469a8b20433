#include "nn/ops/dropout.h"

#include "tests/support/op_case.h"

namespace retape::nn {
namespace {

Array64 reference(const ReferenceInputs& in, float p) {
  Array64 y(in[0].shape);
  for (Elems i = 0; i < y.shape.elems(); ++i) {
    const bool dropped = p > 0 && in.rng.bits(i) < drop_threshold(p);
    y[i] = dropped ? 0 : in[0][i] / (1 - double{p});
    if (in.arrays.size() > 1) {
      y[i] += in[1][i];
    }
  }
  return y;
}

OpCase dropout_of(std::string name, const Shape& x, float p) {
  return {
      .name = std::move(name),
      .inputs = {activation("x", x)},
      .apply = [p](Tape& tape, const Vars& in) { return dropout(tape, in[0], p); },
      .reference = [p](const ReferenceInputs& in) { return reference(in, p); },
      .op = declared<Dropout>({p}),
      .random_elems = p > 0 ? x.elems() : 0,
  };
}

OpCase dropout_residual_of(std::string name, const Shape& x, float p) {
  OpCase op_case = dropout_of(std::move(name), x, p);
  op_case.inputs.push_back(activation("residual", x));
  op_case.apply = [p](Tape& tape, const Vars& in) { return dropout_residual(tape, in[0], in[1], p); };
  return op_case;
}

// Its gradient is the sum of that of both uses.
OpCase dropout_onto_itself(std::string name, const Shape& x, float p) {
  return {
      .name = std::move(name),
      .inputs = {activation("x", x)},
      .apply = [p](Tape& tape, const Vars& in) { return dropout_residual(tape, in[0], in[0], p); },
      .reference =
          [p](const ReferenceInputs& in) {
            const std::vector<Array64> twice(2, in[0]);
            return reference({.arrays = twice, .rng = in.rng}, p);
          },
      .op = std::nullopt,
      .random_elems = p > 0 ? x.elems() : 0,
  };
}

INSTANTIATE_TEST_SUITE_P(Dropout, OpCaseTest,
                         testing::ValuesIn(in_both_dtypes({
                             dropout_of("one", {1}, 0.5F),
                             dropout_of("odd", {7, 33, 5}, 0.1F),
                             dropout_of("half", {2, 33, 97}, 0.5F),
                             dropout_residual_of("residual", {7, 97}, 0.1F),
                             dropout_residual_of("residual_half", {1, 33, 5}, 0.5F),
                             dropout_residual_of("residual_alone", {7, 97}, 0),
                             dropout_onto_itself("onto_itself", {7, 97}, 0.1F),
                             dropout_onto_itself("sum_with_itself", {7, 97}, 0),
                         })),
                         op_case_name);

TEST(Dropout, OfNothingIsTheInputItself) {
  Device device({.kind = DeviceKind::cpu, .threads = 1});
  Context context(device);
  Tape tape(context);
  GradientSlot slot;
  const Var x = tape.leaf(Tensor(device, Shape{3}, DType::f32, Tag::parameters), &slot);
  const Var y = dropout(tape, x, 0);
  EXPECT_EQ(y.data().data(), x.data().data());
  EXPECT_EQ(context.generator().state(), RngState());
  EXPECT_EQ(tape.stats().forward_ops, 0);
}

OpErrorCase wrong_probability(std::string name, float p, std::string_view got) {
  return {std::move(name),
          {{{7, 5}}},
          [p](Tape& tape, const Vars& in) { return dropout(tape, in[0], p); },
          fmt::format("[dropout] p: expected a probability in [0, 1), got {}", got)};
}

Var apply_residual(Tape& tape, const Vars& in) {
  return dropout_residual(tape, in[0], in[1], 0.5F);
}

INSTANTIATE_TEST_SUITE_P(Dropout, OpErrorTest,
                         testing::Values(wrong_probability("one", 1, "1"), wrong_probability("negative", -0.5F, "-0.5"),
                                         wrong_probability("not_a_number", std::numeric_limits<float>::quiet_NaN(),
                                                           "nan"),
                                         OpErrorCase{"indices",
                                                     {{{7, 5}, DType::i32}, {{7, 5}, DType::i32}},
                                                     apply_residual,
                                                     "[dropout] x: expected f32 or bf16, got i32"},
                                         OpErrorCase{"residual",
                                                     {{{7, 5}}, {{5, 7}}},
                                                     apply_residual,
                                                     "[dropout] residual: expected [7, 5], got [5, 7]"},
                                         OpErrorCase{"residual_dtype",
                                                     {{{7, 5}}, {{7, 5}, DType::bf16}},
                                                     apply_residual,
                                                     "[dropout] residual: expected f32, got bf16"}),
                         op_error_name);

}  // namespace
}  // namespace retape::nn
