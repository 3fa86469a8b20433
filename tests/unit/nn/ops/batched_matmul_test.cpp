#include "nn/ops/batched_matmul.h"

#include <cmath>

#include "tests/support/op_case.h"

namespace retape::nn {
namespace {

struct Extents {
  std::int64_t m;
  std::int64_t k;
  std::int64_t n;
};

Array64 reference(const Array64& a, const Array64& b, const Extents& extents, Transposed transposed, const Shape& y) {
  const auto& [m, k, n] = extents;
  Array64 product(y);
  for (std::int64_t batch = 0; batch < y.elems() / (m * n); ++batch) {
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        for (std::int64_t l = 0; l < k; ++l) {
          const double left = a[batch * m * k + (transposed.a ? l * m + i : i * k + l)];
          const double right = b[batch * k * n + (transposed.b ? j * k + l : l * n + j)];
          product[batch * m * n + i * n + j] += left * right;
        }
      }
    }
  }
  return product;
}

// `shape` tells the leading dimensions; its last two are replaced.
OpCase matmul_of(const std::string& name, const Shape& shape, const Extents& extents, Transposed transposed,
                 decltype(&activation) b_kind = activation) {
  const auto& [m, k, n] = extents;
  const double scale = 1 / std::sqrt(static_cast<double>(k));
  const Shape a = transposed.a ? shape.with({{-2, k}, {-1, m}}) : shape.with({{-2, m}, {-1, k}});
  const Shape b = transposed.b ? shape.with({{-2, n}, {-1, k}}) : shape.with({{-2, k}, {-1, n}});
  const Shape y = shape.with({{-2, m}, {-1, n}});
  return {
      .name = fmt::format("{}{}{}", name, transposed.a ? "_at" : "", transposed.b ? "_bt" : ""),
      .inputs = {activation("a", a, 1), b_kind("b", b, scale)},
      .apply = [=](Tape& tape, const Vars& in) { return batched_matmul(tape, in[0], in[1], transposed); },
      .reference = [=](const ReferenceInputs& in) { return reference(in[0], in[1], extents, transposed, y); },
      .op = declared<BatchedMatmul>({transposed}),
  };
}

std::vector<OpCase> cases() {
  std::vector<OpCase> cases;
  for (const Transposed transposed :
       {Transposed{}, Transposed{.a = true}, Transposed{.b = true}, Transposed{true, true}}) {
    cases.push_back(matmul_of("ones", {3, 1, 1}, {1, 1, 1}, transposed));
    cases.push_back(matmul_of("odd", {2, 3, 1, 1}, {7, 33, 5}, transposed));
    cases.push_back(matmul_of("one_pair", {1, 1}, {33, 5, 97}, transposed));
    cases.push_back(matmul_of("parameter", {2, 1, 1}, {5, 7, 33}, transposed, parameter));
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(BatchedMatmul, OpCaseTest, testing::ValuesIn(in_both_dtypes(cases())), op_case_name);

Var apply(Tape& tape, const Vars& in) {
  return batched_matmul(tape, in[0], in[1]);
}
Var apply_transposed(Tape& tape, const Vars& in) {
  return batched_matmul(tape, in[0], in[1], {.a = true, .b = true});
}

INSTANTIATE_TEST_SUITE_P(
    BatchedMatmul, OpErrorTest,
    testing::Values(
        OpErrorCase{"rank", {{{5}}, {{5}}}, apply, "[batched_matmul] a: expected at least 2 dimensions, got [5]"},
        OpErrorCase{"ranks", {{{2, 7, 5}}, {{5, 3}}}, apply, "[batched_matmul] b: expected 3 dimensions, got [5, 3]"},
        OpErrorCase{
            "inner", {{{2, 7, 5}}, {{2, 4, 3}}}, apply, "[batched_matmul] b: expected [2, 5, 3], got [2, 4, 3]"},
        OpErrorCase{
            "batches", {{{2, 7, 5}}, {{3, 5, 3}}}, apply, "[batched_matmul] b: expected [2, 5, 3], got [3, 5, 3]"},
        OpErrorCase{"transposed",
                    {{{2, 7, 5}}, {{2, 3, 5}}},
                    apply_transposed,
                    "[batched_matmul] b: expected [2, 3, 7], got [2, 3, 5]"},
        OpErrorCase{
            "dtypes", {{{2, 7, 5}}, {{2, 5, 3}, DType::bf16}}, apply, "[batched_matmul] b: expected f32, got bf16"},
        OpErrorCase{"indices",
                    {{{2, 7, 5}, DType::i32}, {{2, 5, 3}, DType::i32}},
                    apply,
                    "[batched_matmul] a: expected f32 or bf16, got i32"},
        OpErrorCase{"no_sum",
                    {{{2, 7, 0}}, {{2, 0, 3}}},
                    apply,
                    "[batched_matmul] a: expected at least one element, got [2, 7, 0]"}),
    op_error_name);

}  // namespace
}  // namespace retape::nn
