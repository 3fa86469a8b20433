// Sums in f64 of terms made from arrays of f32 and bf16. Blocks do not depend on the thread count, so that the order of
// a sum does not either.
#pragma once

#include "nn/kernels/cpu/blocks.h"
#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {

using Doubles = hn::ScalableTag<double>;
using DoubleVector = hn::Vec<Doubles>;

// The lanes of a vector that an array has elements for: all, or the first.
struct AllDoubles {};
struct FirstDouble {};

HWY_INLINE DoubleVector load_as_double(const float* from, AllDoubles) {
  return hn::PromoteTo(Doubles{}, hn::LoadU(hn::Rebind<float, Doubles>{}, from));
}

HWY_INLINE DoubleVector load_as_double(const bf16* from, AllDoubles) {
  const hn::Rebind<std::uint32_t, Doubles> bits;
  const auto halves = hn::PromoteTo(bits, hn::LoadU(hn::Rebind<std::uint16_t, Doubles>{}, &from->bits));
  return hn::PromoteTo(Doubles{}, hn::BitCast(hn::Rebind<float, Doubles>{}, hn::ShiftLeft<16>(halves)));
}

template <class T>
HWY_INLINE DoubleVector load_as_double(const T* from, FirstDouble) {
  return hn::Set(Doubles{}, double{to_float(*from)});
}

// The sum of term(i, lanes) over [begin, end). Four sums hide the latency of an addition.
template <class Term>
double sum_of_terms(Elems begin, Elems end, Term term) {
  const auto step = static_cast<Elems>(hn::Lanes(Doubles{}));
  DoubleVector sum0 = hn::Zero(Doubles{});
  DoubleVector sum1 = sum0;
  DoubleVector sum2 = sum0;
  DoubleVector sum3 = sum0;
  Elems i = begin;
  for (; i + 4 * step <= end; i += 4 * step) {
    sum0 = hn::Add(sum0, term(i, AllDoubles{}));
    sum1 = hn::Add(sum1, term(i + step, AllDoubles{}));
    sum2 = hn::Add(sum2, term(i + 2 * step, AllDoubles{}));
    sum3 = hn::Add(sum3, term(i + 3 * step, AllDoubles{}));
  }
  double sum = hn::GetLane(hn::SumOfLanes(Doubles{}, hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3))));
  for (; i < end; ++i) {
    sum += hn::GetLane(term(i, FirstDouble{}));
  }
  return sum;
}

inline Blocks blocks_of_row(std::int64_t columns) {
  return {columns, 16384};
}

// The memory for the sums of sum_each_row().
inline Bytes row_sums_bytes(std::int64_t rows, std::int64_t columns) {
  return rows * blocks_of_row(columns).count() * static_cast<Bytes>(sizeof(double));
}

// finish(row, sum) with the sum of term(i, lanes) over the row's elements i, for each row of [rows, columns]. The
// workspace has row_sums_bytes().
template <class Term, class Finish>
void sum_each_row(Machine& machine, std::int64_t rows, std::int64_t columns, void* workspace, Term term,
                  Finish finish) {
  auto* sums = static_cast<double*>(workspace);
  const Blocks blocks = blocks_of_row(columns);
  parallel_for(machine, rows * blocks.count(), [&](std::int64_t i) {
    const Elems first = i / blocks.count() * columns;
    const std::int64_t block = i % blocks.count();
    sums[i] = sum_of_terms(first + blocks.begin(block), first + blocks.end(block), term);
  });
  parallel_for(machine, rows, [&](std::int64_t row) {
    double sum = 0;
    for (std::int64_t block = 0; block < blocks.count(); ++block) {
      sum += sums[row * blocks.count() + block];
    }
    finish(row, sum);
  });
}

}  // namespace retape::nn::cpu
