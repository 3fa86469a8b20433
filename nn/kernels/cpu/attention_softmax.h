// The softmax of one row of scores, as far as it goes before the product with the values.
#pragma once

#include <cstdint>
#include <limits>

#include "nn/kernels/cpu/attention_dropout.h"
#include "nn/kernels/cpu/attention_simd.h"

namespace retape::nn::cpu::attention {

struct RowSum {
  float maximum;  // of the scaled scores
  float sum;      // of exp(scaled score - maximum)
};

HWY_INLINE FloatVector keep_first(FloatVector values, std::int64_t count, FloatVector otherwise) {
  return hn::IfThenElse(hn::FirstN(kFloats, static_cast<std::size_t>(count)), values, otherwise);
}

// p [0, end) = dropout(exp(scale * scores - maximum)), of the keys [0, seen) that the query sees, and zero beyond. The
// sum is that before dropout. `end` is rounded up to whole vectors; p may be the scores. `bits` are those of the row's
// elements where there is dropout.
template <bool with_dropout, class P>
RowSum exponentiate(const float* scores, std::int64_t seen, std::int64_t end, float scale, const Dropout& dropout,
                    const std::uint32_t* bits, P* p) {
  const FloatVector scales = splat(scale);
  const FloatVector lowest = hn::Set(kFloats, -std::numeric_limits<float>::infinity());
  const std::int64_t whole = seen / kLanes * kLanes;
  FloatVector maxima = lowest;
  for (std::int64_t key = 0; key < whole; key += kLanes) {
    maxima = hn::Max(maxima, hn::Mul(load(scores + key), scales));
  }
  if (whole < seen) {
    maxima = hn::Max(maxima, keep_first(hn::Mul(load(scores + whole), scales), seen - whole, lowest));
  }
  const FloatVector maximum = hn::MaxOfLanes(kFloats, maxima);
  FloatVector sums = hn::Zero(kFloats);
  const auto finish = [&](std::int64_t key, FloatVector exponential) {
    sums = hn::Add(sums, exponential);
    if constexpr (with_dropout) {
      exponential = dropout.apply(exponential, bits + key);
    }
    store(exponential, p + key);
  };
  for (std::int64_t key = 0; key < whole; key += kLanes) {
    finish(key, exp_score<P>(hn::MulSub(load(scores + key), scales, maximum)));
  }
  if (whole < seen) {
    const FloatVector last = exp_score<P>(hn::MulSub(load(scores + whole), scales, maximum));
    finish(whole, keep_first(last, seen - whole, hn::Zero(kFloats)));
  }
  for (std::int64_t key = round_up(seen, kLanes); key < end; key += kLanes) {
    store(hn::Zero(kFloats), p + key);
  }
  return {hn::GetLane(maximum), sum_of_lanes(sums)};
}

}  // namespace retape::nn::cpu::attention
