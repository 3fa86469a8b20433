// Work cut into blocks that do not depend on the thread count, so that the results do not either.
#pragma once

#include <algorithm>
#include <cstdint>

#include "nn/base/units.h"
#include "nn/runtime/cpu/machine.h"

namespace retape::nn::cpu {

// f(i) for i in [0, count), split evenly over the machine's threads. A team of another size than all of them would
// make OpenMP end and start threads, so it is all or one.
template <class F>
void parallel_for(Machine& machine, std::int64_t count, F f) {
  const int threads = count > 1 ? machine.threads() : 1;
  const Team team(threads);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t i = 0; i < count; ++i) {
    f(i);
  }
}

// [0, extent) in blocks of `size`, the last of them shorter.
struct Blocks {
  std::int64_t extent;
  std::int64_t size;

  std::int64_t count() const { return ceil_div(extent, size); }
  std::int64_t begin(std::int64_t block) const { return block * size; }
  std::int64_t end(std::int64_t block) const { return std::min(extent, begin(block) + size); }
};

// f(begin, end) for the blocks of an array: a multiple of any vector long, so that only the array's end is a part of a
// vector, and small enough to stay in the innermost cache.
template <class F>
void for_each_chunk(Machine& machine, Elems elems, F f) {
  const Blocks chunks{elems, 4096};
  parallel_for(machine, chunks.count(), [&](std::int64_t i) { f(chunks.begin(i), chunks.end(i)); });
}

// Rows whose sums are taken block by block, each block by one thread, and then combined in order.
inline Blocks row_blocks(std::int64_t rows) {
  constexpr std::int64_t kMostBlocks = 64;
  constexpr std::int64_t kFewestRows = 16;
  return {rows, std::max(kFewestRows, ceil_div(rows, kMostBlocks))};
}

// The memory for a sum of each column in each row block: f32 [blocks, columns].
inline Bytes partial_sums_bytes(std::int64_t rows, std::int64_t columns) {
  return row_blocks(rows).count() * columns * static_cast<Bytes>(sizeof(float));
}

// sums[c] = (accumulate ? sums[c] : 0) + the sum over blocks of partial_sums[b, c].
void combine(Machine& machine, const float* partial_sums, std::int64_t blocks, std::int64_t columns, float* sums,
             bool accumulate);

}  // namespace retape::nn::cpu
