#include "nn/kernels/layer_norm.h"

#include "tests/bench/nn/kernels/measure.h"
#include "tests/support/random_values.h"

namespace retape::nn {
namespace {

template <class T>
void layer_norm_forward(benchmark::State& state) {
  const Elems elems = state.range(0) * state.range(1);
  const auto x = testing::random_values<T>(elems, 1);
  const auto gamma = testing::random_values<T>(state.range(1), 2);
  std::vector<T> y(x.size());
  std::vector<float> mean(static_cast<std::size_t>(state.range(0)));
  std::vector<float> rstd(mean.size());
  const LayerNormForward kernel{.x = x.data(),
                                .gamma = gamma.data(),
                                .beta = gamma.data(),
                                .mean = mean.data(),
                                .rstd = rstd.data(),
                                .y = y.data(),
                                .rows = state.range(0),
                                .channels = state.range(1),
                                .dtype = kDTypeOf<T>};
  measure(state, kernel, elems * 2 * size_of(kDTypeOf<T>));
}

template <class T>
void layer_norm_backward(benchmark::State& state) {
  const Elems elems = state.range(0) * state.range(1);
  const auto x = testing::random_values<T>(elems, 1);
  const auto gamma = testing::random_values<T>(state.range(1), 2);
  const std::vector<float> mean(static_cast<std::size_t>(state.range(0)), 0.0F);
  const std::vector<float> rstd(mean.size(), 1.0F);
  std::vector<T> dx(x.size());
  std::vector<float> dgamma(gamma.size());
  std::vector<float> dbeta(gamma.size());
  const LayerNormBackward kernel{.x = x.data(),
                                 .gamma = gamma.data(),
                                 .mean = mean.data(),
                                 .rstd = rstd.data(),
                                 .dy = x.data(),
                                 .dx = dx.data(),
                                 .dgamma = dgamma.data(),
                                 .dbeta = dbeta.data(),
                                 .rows = state.range(0),
                                 .channels = state.range(1),
                                 .dtype = kDTypeOf<T>};
  measure(state, kernel, elems * 3 * size_of(kDTypeOf<T>));
}

BENCHMARK(layer_norm_forward<float>)->Apply(model_shapes);
BENCHMARK(layer_norm_forward<bf16>)->Apply(model_shapes);
BENCHMARK(layer_norm_backward<float>)->Apply(model_shapes);
BENCHMARK(layer_norm_backward<bf16>)->Apply(model_shapes);

}  // namespace
}  // namespace retape::nn
