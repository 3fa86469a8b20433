#include "nn/kernels/cross_entropy.h"

#include <cmath>
#include <limits>

#include "nn/kernels/cpu/blocks.h"
#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {
namespace {

// Four chains hide the latency of the comparison.
float largest(const float* logits, std::int64_t vocab) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  const Elems step = lane_count();
  const Elems whole = vocab / (4 * step) * (4 * step);
  FloatVector max0 = splat(kLowest);
  FloatVector max1 = max0;
  FloatVector max2 = max0;
  FloatVector max3 = max0;
  for (Elems v = 0; v < whole; v += 4 * step) {
    max0 = hn::Max(max0, load(logits + v, AllLanes{}));
    max1 = hn::Max(max1, load(logits + v + step, AllLanes{}));
    max2 = hn::Max(max2, load(logits + v + 2 * step, AllLanes{}));
    max3 = hn::Max(max3, load(logits + v + 3 * step, AllLanes{}));
  }
  for_each_vector(whole, vocab, [&](Elems v, auto lanes) {
    max0 = hn::Max(max0, with_rest(load(logits + v, lanes), kLowest, lanes));
  });
  return max_of_lanes(hn::Max(hn::Max(max0, max1), hn::Max(max2, max3)));
}

// The sum of exp(logit - max), in f32 over pieces so short that their f64 sum has the accuracy of one addition.
double sum_of_exponentials(const float* logits, std::int64_t vocab, float max) {
  const Blocks pieces{vocab, 1024};
  double sum = 0;
  for (std::int64_t piece = 0; piece < pieces.count(); ++piece) {
    FloatVector partial = splat(0);
    for_each_vector(pieces.begin(piece), pieces.end(piece), [&](Elems v, auto lanes) {
      partial = hn::Add(partial, with_rest(exp(hn::Sub(load(logits + v, lanes), splat(max))), 0, lanes));
    });
    sum += double{sum_of_lanes(partial)};
  }
  return sum;
}

template <class T>
void gradient(const float* logits, std::int64_t vocab, float max, double sum, std::int64_t target, float scale,
              T* dlogits) {
  const auto factor = static_cast<float>(double{scale} / sum);
  // First, since dlogits may be logits.
  const double at_target = double{scale} * (std::exp(double{logits[target]} - double{max}) / sum - 1);
  for_each_vector(0, vocab, [=](Elems v, auto lanes) {
    store(hn::Mul(exp(hn::Sub(load(logits + v, lanes), splat(max))), splat(factor)), dlogits + v, lanes);
  });
  if constexpr (std::is_same_v<T, bf16>) {
    dlogits[target] = to_bf16(static_cast<float>(at_target));
  } else {
    dlogits[target] = static_cast<float>(at_target);
  }
}

}  // namespace

void run(Machine& machine, const CrossEntropy& kernel) {
  const std::int64_t vocab = kernel.vocab;
  parallel_for(machine, kernel.rows, [&](std::int64_t row) {
    const float* logits = kernel.logits + row * vocab;
    const std::int32_t target = kernel.targets[row];
    const float max = largest(logits, vocab);
    const double sum = sum_of_exponentials(logits, vocab, max);
    kernel.losses[row] = static_cast<float>(std::log(sum) + (double{max} - double{logits[target]}));
    if (kernel.dlogits != nullptr) {
      dispatch(kernel.dtype, [&]<class T>(T) {
        gradient(logits, vocab, max, sum, target, kernel.gradient_scale, static_cast<T*>(kernel.dlogits) + row * vocab);
      });
    }
  });
}

}  // namespace retape::nn::cpu
