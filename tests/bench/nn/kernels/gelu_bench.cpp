#include "nn/kernels/gelu.h"

#include "tests/bench/nn/kernels/measure.h"
#include "tests/support/random_values.h"

namespace retape::nn {
namespace {

template <class T>
void gelu_forward(benchmark::State& state) {
  const Elems elems = state.range(0) * state.range(1);
  const auto x = testing::random_values<T>(elems, 1, -4, 4);
  std::vector<T> y(x.size());
  const GeluForward kernel{.x = x.data(), .y = y.data(), .elems = elems, .dtype = kDTypeOf<T>};
  measure(state, kernel, elems * 2 * size_of(kDTypeOf<T>));
}

template <class T>
void gelu_backward(benchmark::State& state) {
  const Elems elems = state.range(0) * state.range(1);
  const auto x = testing::random_values<T>(elems, 1, -4, 4);
  const auto dy = testing::random_values<T>(elems, 2);
  std::vector<T> dx(x.size());
  std::vector<float> dbias(static_cast<std::size_t>(state.range(1)));
  const GeluBackward kernel{.x = x.data(),
                            .dy = dy.data(),
                            .dx = dx.data(),
                            .dbias = dbias.data(),
                            .rows = state.range(0),
                            .columns = state.range(1),
                            .dtype = kDTypeOf<T>};
  measure(state, kernel, elems * 3 * size_of(kDTypeOf<T>));
}

BENCHMARK(gelu_forward<float>)->Apply(wide_model_shapes);
BENCHMARK(gelu_forward<bf16>)->Apply(wide_model_shapes);
BENCHMARK(gelu_backward<float>)->Apply(wide_model_shapes);
BENCHMARK(gelu_backward<bf16>)->Apply(wide_model_shapes);

}  // namespace
}  // namespace retape::nn
