#include "nn/ops/arithmetic.h"

#include "tests/support/op_case.h"

namespace retape::nn {
namespace {

using Kind = ArithmeticKind;

double result(Kind kind, double a, double b) {
  switch (kind) {
    case Kind::add: return a + b;
    case Kind::subtract: return a - b;
    case Kind::multiply: return a * b;
    case Kind::divide: return a / b;
  }
  return 0;
}

Var apply(Kind kind, Tape& tape, const Var& a, const Var& b) {
  switch (kind) {
    case Kind::add: return add(tape, a, b);
    case Kind::subtract: return subtract(tape, a, b);
    case Kind::multiply: return multiply(tape, a, b);
    case Kind::divide: return divide(tape, a, b);
  }
  return {};
}

DeclaredOp declared_op(Kind kind) {
  switch (kind) {
    case Kind::add: return declared<Arithmetic<Kind::add>>({});
    case Kind::subtract: return declared<Arithmetic<Kind::subtract>>({});
    case Kind::multiply: return declared<Arithmetic<Kind::multiply>>({});
    case Kind::divide: return declared<Arithmetic<Kind::divide>>({});
  }
  return declared<Arithmetic<Kind::add>>({});
}

OpCase arithmetic_of(std::string name, Kind kind, OpInput a, OpInput b, const Shape& y) {
  return {
      .name = fmt::format("{}_{}", nn::name(kind), name),
      .inputs = {std::move(a), std::move(b)},
      .apply = [kind](Tape& tape, const Vars& in) { return apply(kind, tape, in[0], in[1]); },
      .reference =
          [kind, y](const ReferenceInputs& in) {
            Array64 out(y);
            for (Elems i = 0; i < y.elems(); ++i) {
              out[i] = result(kind, in[0][i % in[0].shape.elems()], in[1][i % in[1].shape.elems()]);
            }
            return out;
          },
      .op = declared_op(kind),
  };
}

OpCase with_itself(Kind kind) {
  return {
      .name = fmt::format("{}_with_itself", name(kind)),
      .inputs = {around(3, activation("x", {7, 33}, 0.5))},
      .apply = [kind](Tape& tape, const Vars& in) { return apply(kind, tape, in[0], in[0]); },
      .reference =
          [kind](const ReferenceInputs& in) {
            Array64 out(in[0].shape);
            for (Elems i = 0; i < out.shape.elems(); ++i) {
              out[i] = result(kind, in[0][i], in[0][i]);
            }
            return out;
          },
      .op = std::nullopt,
  };
}

std::vector<OpCase> cases() {
  std::vector<OpCase> cases;
  for (const Kind kind : {Kind::add, Kind::subtract, Kind::multiply, Kind::divide}) {
    const auto a = [](const Shape& shape) { return activation("a", shape); };
    const auto b = [](const Shape& shape) { return around(3, activation("b", shape, 0.5)); };
    const auto parameter_b = [](const Shape& shape) { return around(3, parameter("b", shape, 0.5)); };
    cases.push_back(arithmetic_of("one_shape", kind, a({2, 33, 5}), b({2, 33, 5}), {2, 33, 5}));
    cases.push_back(arithmetic_of("scalars", kind, a({}), b({}), {}));
    cases.push_back(arithmetic_of("channels", kind, a({2, 33, 97}), parameter_b({97}), {2, 33, 97}));
    cases.push_back(arithmetic_of("wide_channels", kind, a({3, 1500}), parameter_b({1500}), {3, 1500}));
    cases.push_back(arithmetic_of("positions", kind, a({3, 33, 5}), b({33, 5}), {3, 33, 5}));
    cases.push_back(arithmetic_of("extents_of_one", kind, a({3, 33, 5}), b({1, 33, 5}), {3, 33, 5}));
    cases.push_back(arithmetic_of("left_is_shorter", kind, parameter("a", {5}), b({2, 7, 5}), {2, 7, 5}));
    cases.push_back(arithmetic_of("of_one_element", kind, a({7, 331}), parameter_b({1}), {7, 331}));
    cases.push_back(arithmetic_of("scalar_on_the_left", kind, a({}), b({7, 331}), {7, 331}));
    cases.push_back(arithmetic_of("of_another_rank", kind, a({5}), b({1, 1, 5}), {1, 1, 5}));
    cases.push_back(with_itself(kind));
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Arithmetic, OpCaseTest, testing::ValuesIn(in_both_dtypes(cases())), op_case_name);

OpCase scale_of(std::string name, OpInput x, float factor) {
  return {
      .name = std::move(name),
      .inputs = {std::move(x)},
      .apply = [factor](Tape& tape, const Vars& in) { return scale(tape, in[0], factor); },
      .reference =
          [factor](const ReferenceInputs& in) {
            Array64 y(in[0].shape);
            for (Elems i = 0; i < y.shape.elems(); ++i) {
              y[i] = double{factor} * in[0][i];
            }
            return y;
          },
      .op = declared<Scaling>({factor}),
  };
}

INSTANTIATE_TEST_SUITE_P(Scale, OpCaseTest,
                         testing::ValuesIn(in_both_dtypes({
                             scale_of("odd", activation("x", {7, 33, 5}), -1.7F),
                             scale_of("parameter", parameter("x", {97}), 0.3F),
                             scale_of("by_zero", activation("x", {5}), 0),
                         })),
                         op_case_name);

Var apply_add(Tape& tape, const Vars& in) {
  return add(tape, in[0], in[1]);
}
Var apply_divide(Tape& tape, const Vars& in) {
  return divide(tape, in[0], in[1]);
}
Var apply_scale(Tape& tape, const Vars& in) {
  return scale(tape, in[0], 2);
}

INSTANTIATE_TEST_SUITE_P(
    Arithmetic, OpErrorTest,
    testing::Values(
        OpErrorCase{
            "indices", {{{7}, DType::i32}, {{7}, DType::i32}}, apply_add, "[add] a: expected f32 or bf16, got i32"},
        OpErrorCase{"dtypes", {{{7}}, {{7}, DType::bf16}}, apply_divide, "[divide] b: expected f32, got bf16"},
        OpErrorCase{"empty", {{{2, 0}}, {{2, 0}}}, apply_add, "[add] a: expected at least one element, got [2, 0]"},
        OpErrorCase{"empty_b", {{{2, 3}}, {{0}}}, apply_add, "[add] b: expected at least one element, got [0]"},
        OpErrorCase{"extents",
                    {{{2, 3, 5}}, {{3, 4}}},
                    apply_add,
                    "[add] b: expected a shape that ends [2, 3, 5], or that it ends, got [3, 4]"},
        OpErrorCase{"last_extent_of_one",
                    {{{3, 5}}, {{3, 1}}},
                    apply_add,
                    "[add] b: expected a shape that ends [3, 5], or that it ends, got [3, 1]"},
        OpErrorCase{"as_many_elements",
                    {{{2, 3}}, {{3, 2}}},
                    apply_divide,
                    "[divide] b: expected a shape that ends [2, 3], or that it ends, got [3, 2]"},
        OpErrorCase{"higher_rank_is_shorter",
                    {{{6, 5}}, {{2, 3, 5}}},
                    apply_add,
                    "[add] b: expected a shape that ends [6, 5], or that it ends, got [2, 3, 5]"},
        OpErrorCase{"scaled_indices", {{{7}, DType::i32}}, apply_scale, "[scale] x: expected f32 or bf16, got i32"},
        OpErrorCase{"scaled_empty", {{{2, 0}}}, apply_scale, "[scale] x: expected at least one element, got [2, 0]"}),
    op_error_name);

}  // namespace
}  // namespace retape::nn
