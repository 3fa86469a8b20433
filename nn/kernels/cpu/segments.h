// Arrays cut into pieces that lie in one row each.
#pragma once

#include "nn/kernels/cpu/blocks.h"

namespace retape::nn::cpu {

struct Segment {
  Elems begin;  // in the array
  std::int64_t row;
  std::int64_t column;
  Elems count;
};

// Columns that stay in the innermost cache.
inline Blocks strips_of(std::int64_t columns) {
  return {columns, 4096};
}

// f(segment) for the pieces of an array of rows of `width`, of which the last may be shorter.
template <class F>
void for_each_segment(Machine& machine, Elems elems, std::int64_t width, F f) {
  const Blocks rows{elems, width};
  const Blocks strips = strips_of(width);
  parallel_for(machine, rows.count() * strips.count(), [&](std::int64_t i) {
    const std::int64_t row = i / strips.count();
    const std::int64_t column = strips.begin(i % strips.count());
    const Elems begin = rows.begin(row) + column;
    const Elems end = std::min(rows.end(row), rows.begin(row) + strips.end(i % strips.count()));
    if (begin < end) {
      f(Segment{.begin = begin, .row = row, .column = column, .count = end - begin});
    }
  });
}

}  // namespace retape::nn::cpu
