#include "nn/kernels/elementwise.h"

#include <array>

#include "nn/kernels/cpu/blocks.h"
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
void scale(Machine& machine, const In* x, Out* out, Elems elems, float factor) {
  for_each_chunk(machine, elems, [=](Elems begin, Elems end) {
    for_each_vector(begin, end,
                    [=](Elems i, auto lanes) { store(hn::Mul(load(x + i, lanes), splat(factor)), out + i, lanes); });
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

using Doubles = hn::ScalableTag<double>;
using DoubleVector = hn::Vec<Doubles>;

HWY_INLINE DoubleVector load_as_double(const float* x) {
  return hn::PromoteTo(Doubles{}, hn::LoadU(hn::Rebind<float, Doubles>{}, x));
}

// The sum of term(x[i]), in f64. Four sums hide the latency of an addition.
template <class Term>
double sum_terms(const float* x, Elems elems, Term term) {
  const auto step = static_cast<Elems>(hn::Lanes(Doubles{}));
  DoubleVector sum0 = hn::Zero(Doubles{});
  DoubleVector sum1 = sum0;
  DoubleVector sum2 = sum0;
  DoubleVector sum3 = sum0;
  Elems i = 0;
  for (; i + 4 * step <= elems; i += 4 * step) {
    sum0 = hn::Add(sum0, term(load_as_double(x + i)));
    sum1 = hn::Add(sum1, term(load_as_double(x + i + step)));
    sum2 = hn::Add(sum2, term(load_as_double(x + i + 2 * step)));
    sum3 = hn::Add(sum3, term(load_as_double(x + i + 3 * step)));
  }
  double sum = hn::GetLane(hn::SumOfLanes(Doubles{}, hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3))));
  for (; i < elems; ++i) {
    sum += hn::GetLane(term(hn::Set(Doubles{}, static_cast<double>(x[i]))));
  }
  return sum;
}

template <class Term>
double sum_blocks(Machine& machine, const float* x, Elems elems, Term term) {
  constexpr Elems kMostBlocks = 256;
  constexpr Elems kSmallestBlock = 16384;
  const Blocks blocks{elems, std::max(kSmallestBlock, ceil_div(elems, kMostBlocks))};
  std::array<double, kMostBlocks> sums{};
  parallel_for(machine, blocks.count(), [&](std::int64_t block) {
    const Elems begin = blocks.begin(block);
    sums[static_cast<std::size_t>(block)] = sum_terms(x + begin, blocks.end(block) - begin, term);
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
  dispatch(kernel.in, [&]<class In>(In) {
    dispatch(kernel.out_dtype, [&]<class Out>(Out) {
      scale(machine, static_cast<const In*>(kernel.x), static_cast<Out*>(kernel.out), kernel.elems, kernel.factor);
    });
  });
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

void run(Machine& machine, const Sum& kernel) {
  *kernel.sum = sum_blocks(machine, kernel.x, kernel.elems, [](DoubleVector x) { return x; });
}

void run(Machine& machine, const SumOfSquares& kernel) {
  *kernel.sum = sum_blocks(machine, kernel.x, kernel.elems, [](DoubleVector x) { return hn::Mul(x, x); });
}

}  // namespace retape::nn::cpu
