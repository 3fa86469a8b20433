#include "nn/kernels/elementwise.h"

#include "tests/bench/nn/kernels/measure.h"
#include "tests/support/random_values.h"

namespace retape::nn {
namespace {

template <class T>
void add(benchmark::State& state) {
  const Elems elems = state.range(0) * state.range(1);
  const auto a = testing::random_values<T>(elems, 1);
  std::vector<T> out(a.size());
  const Add kernel{.a = a.data(), .b = a.data(), .out = out.data(), .elems = elems, .dtype = kDTypeOf<T>};
  measure(state, kernel, elems * 3 * size_of(kDTypeOf<T>));
}

template <class T>
void column_sum(benchmark::State& state) {
  const Elems elems = state.range(0) * state.range(1);
  const auto x = testing::random_values<T>(elems, 1);
  std::vector<float> sums(static_cast<std::size_t>(state.range(1)));
  const ColumnSum kernel{
      .x = x.data(), .sums = sums.data(), .rows = state.range(0), .columns = state.range(1), .dtype = kDTypeOf<T>};
  measure(state, kernel, elems * size_of(kDTypeOf<T>));
}

void sum_of_squares(benchmark::State& state) {
  const Elems elems = state.range(0) * state.range(1);
  const auto x = testing::random_values<float>(elems, 1);
  double sum = 0;
  measure(state, SumOfSquares{.x = x.data(), .sum = &sum, .elems = elems}, elems * size_of(DType::f32));
}

BENCHMARK(add<float>)->Apply(model_shapes);
BENCHMARK(add<bf16>)->Apply(model_shapes);
BENCHMARK(column_sum<float>)->Apply(wide_model_shapes);
BENCHMARK(column_sum<bf16>)->Apply(wide_model_shapes);
BENCHMARK(sum_of_squares)->Apply(wide_model_shapes);

}  // namespace
}  // namespace retape::nn
