#include "nn/kernels/cross_entropy.h"

#include "tests/bench/nn/kernels/measure.h"
#include "tests/support/random_values.h"

namespace retape::nn {
namespace {

template <class T>
void cross_entropy(benchmark::State& state) {
  const Elems elems = state.range(0) * state.range(1);
  const auto logits = testing::random_values<float>(elems, 1, -4, 4);
  const auto targets = testing::random_indices(state.range(0), 2, static_cast<std::int32_t>(state.range(1)));
  std::vector<float> losses(targets.size());
  std::vector<T> dlogits(logits.size());
  const CrossEntropy kernel{.logits = logits.data(),
                            .targets = targets.data(),
                            .losses = losses.data(),
                            .dlogits = dlogits.data(),
                            .rows = state.range(0),
                            .vocab = state.range(1),
                            .dtype = kDTypeOf<T>};
  measure(state, kernel, elems * (size_of(DType::f32) + size_of(kDTypeOf<T>)));
}

void vocabularies(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"rows", "vocab"})->UseRealTime()->Unit(benchmark::kMicrosecond);
  benchmark->Args({3072, 256})->Args({128, 50257});
}

BENCHMARK(cross_entropy<float>)->Apply(vocabularies);
BENCHMARK(cross_entropy<bf16>)->Apply(vocabularies);

}  // namespace
}  // namespace retape::nn
