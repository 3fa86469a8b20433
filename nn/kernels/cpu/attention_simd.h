// Vector helpers of the attention kernels: whole vectors only, since rows in scratch are padded.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu::attention {

using BitVector = hn::Vec<FloatBits>;
using HalfVector = hn::Vec<Bf16Bits>;

inline constexpr Floats kFloats;
inline constexpr FloatBits kBits;
inline constexpr Bf16Bits kHalves;
inline constexpr std::int64_t kLanes = static_cast<std::int64_t>(hn::MaxLanes(kFloats));

HWY_INLINE HalfVector load_halves(const bf16* from) {
  return hn::LoadU(kHalves, &from->bits);
}
HWY_INLINE void store(HalfVector value, bf16* to) {
  hn::StoreU(value, kHalves, &to->bits);
}
// even 0, odd 0, even 1, odd 1, ...
HWY_INLINE void store_pairs(HalfVector even, HalfVector odd, bf16* to) {
  const BitVector pairs = hn::Or(hn::PromoteTo(kBits, even), hn::ShiftLeft<16>(hn::PromoteTo(kBits, odd)));
  hn::StoreU(pairs, kBits, reinterpret_cast<std::uint32_t*>(to));
}

// As bf16, rounded to nearest, ties to even; a NaN stays a NaN. A subnormal becomes zero where the processor has an
// instruction for this, and is rounded as any other number where it has not: all of a row must come through here.
HWY_INLINE HalfVector round_to_bf16(FloatVector value) {
#if HWY_TARGET <= HWY_AVX3 && defined(__AVX512BF16__)
  // Which this version of Highway does not have.
  return HalfVector{std::bit_cast<__m256i>(_mm512_cvtneps_pbh(value.raw))};
#else
  VectorBuffer<bf16> rounded;
  cpu::store(value, rounded.data(), AllLanes{});
  return load_halves(rounded.data());
#endif
}

template <class T>
HWY_INLINE FloatVector load(const T* from) {
  return cpu::load(from, AllLanes{});
}
HWY_INLINE void store(FloatVector value, float* to) {
  cpu::store(value, to, AllLanes{});
}
HWY_INLINE void store(FloatVector value, bf16* to) {
  store(round_to_bf16(value), to);
}

// e^x of a scaled score less the largest of its row or less their log-sum: x is at most 0, but for rounding. 0 below
// -87, NaN for NaN. To about 1 ulp where the result is kept as f32, to 1e-5 where it is rounded to bf16. This is on the
// critical path of every probability, hence not the general exp.
template <class Kept>
HWY_INLINE FloatVector exp_score(FloatVector x) {
  // Adding 1.5 2^23 leaves n = round(x / ln 2) in the low bits of the fraction, from where it moves to the exponent.
  const FloatVector shift = splat(0x1.8p23F);
  const FloatVector shifted = hn::MulAdd(x, splat(0x1.715476p0F), shift);
  const FloatVector n = hn::Sub(shifted, shift);
  // e^r = 1 + r + r^2 q(r), q interpolated at Chebyshev nodes of |r| <= ln 2 / 2.
  FloatVector r;
  FloatVector q;
  if constexpr (kDTypeOf<Kept> == DType::bf16) {
    r = hn::NegMulAdd(n, splat(0x1.62e43p-1F), x);
    q = hn::MulAdd(splat(0.041791986F), r, splat(0.16741899F));
    q = hn::MulAdd(q, r, splat(0.5F));
  } else {
    r = hn::NegMulAdd(n, splat(0x1.62e4p-1F), x);
    r = hn::NegMulAdd(n, splat(0x1.7f7d1cp-20F), r);
    q = hn::MulAdd(splat(0.0013926176F), r, splat(0.008363173F));
    q = hn::MulAdd(q, r, splat(0.041666555F));
    q = hn::MulAdd(q, r, splat(0.16666577F));
    q = hn::MulAdd(q, r, splat(0.5F));
  }
  const FloatVector power = hn::Add(hn::MulAdd(hn::Mul(r, r), q, r), splat(1));
  const BitVector scaled = hn::Add(hn::BitCast(kBits, power), hn::ShiftLeft<23>(hn::BitCast(kBits, shifted)));
  return hn::IfThenZeroElse(hn::Lt(x, splat(-87)), hn::BitCast(kFloats, scaled));
}

// Four rows of four elements.
inline constexpr std::int64_t kSquare = 4;

#if HWY_TARGET == HWY_SCALAR
// Rows are `from_stride` apart; what they become, columns of `to`, is in rows `to_stride` apart.
template <class From, class To>
void transpose_square(const From* from, std::int64_t from_stride, To* to, std::int64_t to_stride) {
  for (std::int64_t row = 0; row < kSquare; ++row) {
    for (std::int64_t col = 0; col < kSquare; ++col) {
      if constexpr (std::is_same_v<From, bf16>) {
        to[col * to_stride + row] = to_float(from[row * from_stride + col]);
      } else {
        to[col * to_stride + row] = from[row * from_stride + col];
      }
    }
  }
}
#else
template <class T>
using SquareTag = hn::FixedTag<T, kSquare>;

HWY_INLINE hn::Vec<SquareTag<float> > load_square_row(const float* from) {
  return hn::LoadU(SquareTag<float>(), from);
}
HWY_INLINE hn::Vec<SquareTag<std::uint32_t> > load_square_row(const std::uint32_t* from) {
  return hn::LoadU(SquareTag<std::uint32_t>(), from);
}
HWY_INLINE hn::Vec<SquareTag<float> > load_square_row(const bf16* from) {
  const auto bits = hn::PromoteTo(SquareTag<std::uint32_t>(), hn::LoadU(SquareTag<std::uint16_t>(), &from->bits));
  return hn::BitCast(SquareTag<float>(), hn::ShiftLeft<16>(bits));
}

// Rows are `from_stride` apart; what they become, columns of `to`, is in rows `to_stride` apart.
template <class From, class To>
HWY_INLINE void transpose_square(const From* from, std::int64_t from_stride, To* to, std::int64_t to_stride) {
  const SquareTag<To> four;
  const auto row0 = load_square_row(from);
  const auto row1 = load_square_row(from + from_stride);
  const auto row2 = load_square_row(from + 2 * from_stride);
  const auto row3 = load_square_row(from + 3 * from_stride);
  const auto low02 = hn::InterleaveLower(four, row0, row2);
  const auto low13 = hn::InterleaveLower(four, row1, row3);
  const auto high02 = hn::InterleaveUpper(four, row0, row2);
  const auto high13 = hn::InterleaveUpper(four, row1, row3);
  hn::StoreU(hn::InterleaveLower(four, low02, low13), four, to);
  hn::StoreU(hn::InterleaveUpper(four, low02, low13), four, to + to_stride);
  hn::StoreU(hn::InterleaveLower(four, high02, high13), four, to + 2 * to_stride);
  hn::StoreU(hn::InterleaveUpper(four, high02, high13), four, to + 3 * to_stride);
}
#endif

}  // namespace retape::nn::cpu::attention
