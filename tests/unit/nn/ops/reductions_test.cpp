#include "nn/ops/reductions.h"

#include "tests/support/op_case.h"

namespace retape::nn {
namespace {

Array64 reference(const Array64& x, Over over, bool mean) {
  const bool all = over == Over::all;
  const std::int64_t rows = all ? 1 : x.shape.rows();
  const std::int64_t columns = x.shape.elems() / rows;
  Array64 y(all ? Shape{} : x.shape.without_back());
  for (Elems i = 0; i < x.shape.elems(); ++i) {
    y[i / columns] += mean ? x[i] / static_cast<double>(columns) : x[i];
  }
  return y;
}

OpCase reduction_of(std::string name, OpInput x, Over over, bool is_mean) {
  return {
      .name = fmt::format("{}_{}", is_mean ? "mean" : "sum", name),
      .inputs = {std::move(x)},
      .apply = [=](Tape& tape, const Vars& in) { return is_mean ? mean(tape, in[0], over) : sum(tape, in[0], over); },
      .reference = [=](const ReferenceInputs& in) { return reference(in[0], over, is_mean); },
      .op = is_mean ? declared<Reduction<true>>({over}) : declared<Reduction<false>>({over}),
  };
}

std::vector<OpCase> cases() {
  std::vector<OpCase> cases;
  for (const bool is_mean : {false, true}) {
    const auto add = [&](std::string name, OpInput x, Over over) {
      cases.push_back(reduction_of(std::move(name), std::move(x), over, is_mean));
    };
    add("of_a_scalar", activation("x", {}), Over::all);
    add("of_all", around(1, activation("x", {7, 33, 5})), Over::all);
    add("of_several_blocks", around(1, parameter("x", {3, 97, 97})), Over::all);
    add("of_rows", activation("x", {2, 33, 97}), Over::last_axis);
    add("of_one_row", activation("x", {97}), Over::last_axis);
    add("of_columns_of_one", parameter("x", {7, 1}), Over::last_axis);
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Reductions, OpCaseTest, testing::ValuesIn(in_both_dtypes(cases())), op_case_name);

Var apply_sum(Tape& tape, const Vars& in) {
  return sum(tape, in[0]);
}
Var apply_mean_of_rows(Tape& tape, const Vars& in) {
  return mean(tape, in[0], Over::last_axis);
}

INSTANTIATE_TEST_SUITE_P(
    Reductions, OpErrorTest,
    testing::Values(OpErrorCase{"indices", {{{7}, DType::i32}}, apply_sum, "[sum] x: expected f32 or bf16, got i32"},
                    OpErrorCase{"empty", {{{2, 0}}}, apply_sum, "[sum] x: expected at least one element, got [2, 0]"},
                    OpErrorCase{"rows_of_a_scalar",
                                {{{}}},
                                apply_mean_of_rows,
                                "[mean] x: expected at least 1 dimension, got a scalar"}),
    op_error_name);

}  // namespace
}  // namespace retape::nn
