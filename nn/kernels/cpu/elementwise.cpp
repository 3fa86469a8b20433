#include "nn/kernels/elementwise.h"

#include <array>

#include "nn/kernels/cpu/blocks.h"
#include "nn/kernels/cpu/double_sums.h"
#include "nn/kernels/cpu/implement.h"
#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {
namespace {

template <class T>
void add(Machine& machine, const T* a, const T* b, T* out, Elems elems) {
  for_each_chunk(machine, elems, [=](Elems begin, Elems end) {
    for_each_vector(begin, end, [=](Elems i, auto lanes) {
      store(hn::Add(load(a + i, lanes), load(b + i, lanes)), out + i, lanes);
    });
  });
}

template <class In, class Out>
void scale(Machine& machine, const Scale& kernel) {
  const auto* x = static_cast<const In*>(kernel.x);
  auto* out = static_cast<Out*>(kernel.out);
  const float factor = kernel.times == nullptr ? kernel.factor : kernel.factor * *kernel.times;
  const bool accumulate = kernel.accumulate;
  for_each_chunk(machine, kernel.elems, [=](Elems begin, Elems end) {
    for_each_vector(begin, end, [=](Elems i, auto lanes) {
      store_or_add(hn::Mul(load(x + i, lanes), splat(factor)), out + i, accumulate, lanes);
    });
  });
}

template <class T>
void sum_rows(const T* x, std::int64_t first_row, std::int64_t last_row, std::int64_t columns, float* sums) {
  for_each_vector(0, columns, [=](Elems c, auto lanes) {
    FloatVector total = splat(0);
    for (std::int64_t row = first_row; row < last_row; ++row) {
      total = hn::Add(total, load(x + row * columns + c, lanes));
    }
    store(total, sums + c, lanes);
  });
}

template <class Term>
double sum_blocks(Machine& machine, Elems elems, Term term) {
  constexpr Elems kMostBlocks = 256;
  constexpr Elems kSmallestBlock = 16384;
  const Blocks blocks{elems, std::max(kSmallestBlock, ceil_div(elems, kMostBlocks))};
  std::array<double, kMostBlocks> sums{};
  parallel_for(machine, blocks.count(), [&](std::int64_t block) {
    sums[static_cast<std::size_t>(block)] = sum_of_terms(blocks.begin(block), blocks.end(block), term);
  });
  double sum = 0;
  for (const double block_sum : sums) {
    sum += block_sum;
  }
  return sum;
}

}  // namespace

void run(Machine& machine, const Add& kernel) {
  dispatch(kernel.dtype, [&]<class T>(T) {
    add(machine, static_cast<const T*>(kernel.a), static_cast<const T*>(kernel.b), static_cast<T*>(kernel.out),
        kernel.elems);
  });
}

void run(Machine& machine, const Scale& kernel) {
  dispatch(kernel.in,
           [&]<class In>(In) { dispatch(kernel.out_dtype, [&]<class Out>(Out) { scale<In, Out>(machine, kernel); }); });
}

Bytes workspace_bytes(Machine& /*machine*/, const ColumnSum& kernel) {
  return partial_sums_bytes(kernel.rows, kernel.columns);
}

void run(Machine& machine, const ColumnSum& kernel) {
  const Blocks blocks = row_blocks(kernel.rows);
  auto* partial_sums = static_cast<float*>(kernel.workspace);
  dispatch(kernel.dtype, [&]<class T>(T) {
    parallel_for(machine, blocks.count(), [&](std::int64_t block) {
      sum_rows(static_cast<const T*>(kernel.x), blocks.begin(block), blocks.end(block), kernel.columns,
               partial_sums + block * kernel.columns);
    });
  });
  combine(machine, partial_sums, blocks.count(), kernel.columns, kernel.sums, kernel.accumulate);
}

void run(Machine& machine, const ScaledMean& kernel) {
  const double sum =
      sum_blocks(machine, kernel.elems, [x = kernel.x](Elems i, auto lanes) { return load_as_double(x + i, lanes); });
  *kernel.out = static_cast<float>(kernel.factor * (sum / static_cast<double>(kernel.elems)));
}

void run(Machine& machine, const SumOfSquares& kernel) {
  *kernel.sum = sum_blocks(machine, kernel.elems, [from = kernel.x](Elems i, auto lanes) {
    const DoubleVector x = load_as_double(from + i, lanes);
    return hn::Mul(x, x);
  });
}

template void run_kernel(Machine&, const Add&);
template void run_kernel(Machine&, const Scale&);
template Bytes workspace_of_kernel(Machine&, const ColumnSum&);
template void run_kernel(Machine&, const ColumnSum&);
template void run_kernel(Machine&, const ScaledMean&);
template void run_kernel(Machine&, const SumOfSquares&);

}  // namespace retape::nn::cpu
