#include "nn/kernels/cpu/blocks.h"

#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {
namespace {

void combine_columns(const float* partial_sums, std::int64_t blocks, std::int64_t columns, std::int64_t begin,
                     std::int64_t end, float* sums, bool accumulate) {
  for_each_vector(begin, end, [=](Elems c, auto lanes) {
    FloatVector total = splat(0);
    for (std::int64_t block = 0; block < blocks; ++block) {
      total = hn::Add(total, load(partial_sums + block * columns + c, lanes));
    }
    if (accumulate) {
      total = hn::Add(load(sums + c, lanes), total);
    }
    store(total, sums + c, lanes);
  });
}

}  // namespace

void combine(Machine& machine, const float* partial_sums, std::int64_t blocks, std::int64_t columns, float* sums,
             bool accumulate) {
  const Blocks strips{columns, 256};
  parallel_for(machine, strips.count(), [&](std::int64_t i) {
    combine_columns(partial_sums, blocks, columns, strips.begin(i), strips.end(i), sums, accumulate);
  });
}

}  // namespace retape::nn::cpu
