// What the softmax of a row is made of: its largest element, and the sum of the exponentials.
#pragma once

#include <limits>

#include "nn/kernels/cpu/blocks.h"
#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {

// Four chains hide the latency of the comparison. A NaN may go unnoticed here; the exponentials have it.
template <class T>
float largest(const T* row, std::int64_t columns) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  const Elems step = lane_count();
  const Elems whole = columns / (4 * step) * (4 * step);
  FloatVector max0 = splat(kLowest);
  FloatVector max1 = max0;
  FloatVector max2 = max0;
  FloatVector max3 = max0;
  for (Elems c = 0; c < whole; c += 4 * step) {
    max0 = hn::Max(max0, load(row + c, AllLanes{}));
    max1 = hn::Max(max1, load(row + c + step, AllLanes{}));
    max2 = hn::Max(max2, load(row + c + 2 * step, AllLanes{}));
    max3 = hn::Max(max3, load(row + c + 3 * step, AllLanes{}));
  }
  for_each_vector(whole, columns,
                  [&](Elems c, auto lanes) { max0 = hn::Max(max0, with_rest(load(row + c, lanes), kLowest, lanes)); });
  return max_of_lanes(hn::Max(hn::Max(max0, max1), hn::Max(max2, max3)));
}

// The sum of exp(element - max), in f32 over pieces so short that their f64 sum has the accuracy of one addition.
template <class T>
double sum_of_exponentials(const T* row, std::int64_t columns, float max) {
  const Blocks pieces{columns, 1024};
  double sum = 0;
  for (std::int64_t piece = 0; piece < pieces.count(); ++piece) {
    FloatVector partial = splat(0);
    for_each_vector(pieces.begin(piece), pieces.end(piece), [&](Elems c, auto lanes) {
      partial = hn::Add(partial, with_rest(exp(hn::Sub(load(row + c, lanes), splat(max))), 0, lanes));
    });
    sum += double{sum_of_lanes(partial)};
  }
  return sum;
}

}  // namespace retape::nn::cpu
