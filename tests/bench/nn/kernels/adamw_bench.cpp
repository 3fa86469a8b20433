#include "nn/kernels/adamw.h"

#include "tests/bench/nn/kernels/measure.h"
#include "tests/support/random_values.h"

namespace retape::nn {
namespace {

void adamw(benchmark::State& state) {
  const Elems elems = state.range(0);
  const bool with_working = state.range(1) != 0;
  const auto gradient = testing::random_values<float>(elems, 1);
  std::vector<float> weight(gradient.size());
  std::vector<float> first_moment(gradient.size());
  std::vector<float> second_moment(gradient.size());
  std::vector<bf16> working(gradient.size());
  const AdamWUpdate kernel{.weight = weight.data(),
                           .first_moment = first_moment.data(),
                           .second_moment = second_moment.data(),
                           .gradient = gradient.data(),
                           .working = with_working ? working.data() : nullptr,
                           .elems = elems,
                           .lr = 1e-3F,
                           .weight_decay = 0.1F};
  measure(state, kernel, elems * (7 * size_of(DType::f32) + (with_working ? size_of(DType::bf16) : 0)));
}

constexpr std::int64_t kMatrix = std::int64_t{768} * 3072;

BENCHMARK(adamw)
    ->ArgNames({"elems", "working"})
    ->Args({kMatrix, 0})
    ->Args({kMatrix, 1})
    ->Args({20'000'000, 0})
    ->Args({20'000'000, 1})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace retape::nn
