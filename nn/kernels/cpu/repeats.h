// Arrays along which a smaller one is repeated, and sums over the repetitions.
#pragma once

#include <algorithm>
#include <array>

#include "nn/kernels/cpu/segments.h"
#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {

// A row of the larger array is one repetition, or as many as make a row of this length, so that short ones fill vectors
// and caches too.
inline constexpr std::int64_t kShortestRow = 1024;

inline std::int64_t width_of_repeats(Elems period) {
  return period * ceil_div(kShortestRow, period);
}

// An operand of `period` elements along an array of `elems`, in rows of width_of_repeats() of the smaller operand.
template <class T>
class Repeated {
 public:
  Repeated(const void* values, Elems period, Elems elems, std::int64_t width)
      : values_(static_cast<const T*>(values)), whole_(period == elems) {
    if (!whole_ && period < width) {
      for (Elems i = 0; i < width; ++i) {
        tile_[static_cast<std::size_t>(i)] = values_[i % period];
      }
      values_ = tile_.data();
    }
  }
  Repeated(const Repeated&) = delete;
  Repeated& operator=(const Repeated&) = delete;

  const T* at(const Segment& segment) const { return values_ + (whole_ ? segment.begin : segment.column); }

 private:
  std::array<T, 2 * kShortestRow> tile_;  // of a short one: a row of its repetitions
  const T* values_;
  bool whole_;
};

// The memory for the sums of sum_over_repeats().
inline Bytes repeat_sums_bytes(Elems elems, Elems period) {
  const std::int64_t width = width_of_repeats(period);
  return partial_sums_bytes(ceil_div(elems, width), width);
}

// sums[i] = the sum over the repetitions of period element i, for i in [0, period). `term_at` makes of a segment a
// function of (index in the segment, lanes). The sums begin a workspace of repeat_sums_bytes().
template <class TermAt>
void sum_over_repeats(Machine& machine, Elems elems, Elems period, TermAt term_at, float* sums) {
  const std::int64_t width = width_of_repeats(period);
  const Blocks rows{elems, width};
  const Blocks blocks = row_blocks(rows.count());
  const Blocks strips = strips_of(width);
  parallel_for(machine, blocks.count() * strips.count(), [&](std::int64_t i) {
    const std::int64_t block = i / strips.count();
    const std::int64_t begin = strips.begin(i % strips.count());
    const std::int64_t end = strips.end(i % strips.count());
    float* const partial_sums = sums + block * width + begin;
    std::fill_n(partial_sums, end - begin, 0.0F);
    for (std::int64_t row = blocks.begin(block); row < blocks.end(block); ++row) {
      const Elems count = std::min(end, rows.end(row) - rows.begin(row)) - begin;
      const auto term = term_at(Segment{.begin = rows.begin(row) + begin, .row = row, .column = begin, .count = count});
      for_each_vector(0, count, [&](Elems c, auto lanes) {
        store(hn::Add(load(partial_sums + c, lanes), term(c, lanes)), partial_sums + c, lanes);
      });
    }
  });
  combine(machine, sums, blocks.count(), width, sums, false);
  if (period < width) {
    for (Elems i = 0; i < period; ++i) {
      double total = 0;
      for (std::int64_t c = i; c < width; c += period) {
        total += double{sums[c]};
      }
      sums[i] = static_cast<float>(total);
    }
  }
}

}  // namespace retape::nn::cpu
