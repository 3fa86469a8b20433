// Sums of rows in f32, in an order that threads do not change.
#pragma once

#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {

// The sum of term(i, lanes) over [0, count) in two chains; lanes past the end are ignored.
template <class Term>
HWY_INLINE float sum_over(std::int64_t count, Term term) {
  const Elems step = lane_count();
  const Elems paired = count / (2 * step) * (2 * step);
  FloatVector even = splat(0);
  FloatVector odd = splat(0);
  for (Elems i = 0; i < paired; i += 2 * step) {
    even = hn::Add(even, term(i, AllLanes{}));
    odd = hn::Add(odd, term(i + step, AllLanes{}));
  }
  for_each_vector(paired, count,
                  [&](Elems i, auto lanes) { even = hn::Add(even, with_rest(term(i, lanes), 0, lanes)); });
  return sum_of_lanes(hn::Add(even, odd));
}

}  // namespace retape::nn::cpu
