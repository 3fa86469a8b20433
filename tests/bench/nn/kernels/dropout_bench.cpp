#include "nn/kernels/dropout.h"

#include "tests/bench/nn/kernels/measure.h"
#include "tests/support/random_values.h"

namespace retape::nn {
namespace {

template <class T>
void dropout_residual(benchmark::State& state) {
  const Elems elems = state.range(0) * state.range(1);
  const auto x = testing::random_values<T>(elems, 1);
  const auto residual = testing::random_values<T>(elems, 2);
  std::vector<T> out(x.size());
  const DropoutResidualForward kernel{
      .x = x.data(), .residual = residual.data(), .out = out.data(), .elems = elems, .p = 0.1F, .dtype = kDTypeOf<T>};
  measure(state, kernel, elems * 3 * size_of(kDTypeOf<T>));
}

template <class T>
void dropout_backward(benchmark::State& state) {
  const Elems elems = state.range(0) * state.range(1);
  const auto dout = testing::random_values<T>(elems, 1);
  std::vector<T> dx(dout.size());
  const DropoutBackward kernel{
      .dout = dout.data(), .dx = dx.data(), .elems = elems, .p = 0.1F, .rng = {}, .dtype = kDTypeOf<T>};
  measure(state, kernel, elems * 2 * size_of(kDTypeOf<T>));
}

BENCHMARK(dropout_residual<float>)->Apply(model_shapes);
BENCHMARK(dropout_residual<bf16>)->Apply(model_shapes);
BENCHMARK(dropout_backward<float>)->Apply(model_shapes);
BENCHMARK(dropout_backward<bf16>)->Apply(model_shapes);

}  // namespace
}  // namespace retape::nn
