// Vector helpers of the attention kernels: loads and stores by dtype, small transposes and the exponential.
#pragma once

// One instruction set, that of -march: there is nothing to choose at run time. The scalable vectors of SVE cannot live
// in register arrays, so those processors take NEON.
#ifndef HWY_COMPILE_ONLY_STATIC
#define HWY_COMPILE_ONLY_STATIC
#endif
#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#endif
#include <hwy/highway.h>

#include <bit>
#include <cstdint>

#include "nn/tensor/dtype.h"

namespace retape::nn::cpu::attention {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using BitsTag = hn::RebindToUnsigned<FloatTag>;
using HalfTag = hn::Rebind<std::uint16_t, FloatTag>;
using Floats = hn::Vec<FloatTag>;
using Bits = hn::Vec<BitsTag>;
using Halves = hn::Vec<HalfTag>;

inline constexpr FloatTag kFloats;
inline constexpr BitsTag kBits;
inline constexpr std::int64_t kLanes = static_cast<std::int64_t>(hn::MaxLanes(kFloats));

HWY_INLINE Halves load_halves(const bf16* from) {
  return hn::LoadU(HalfTag(), reinterpret_cast<const std::uint16_t*>(from));
}
HWY_INLINE void store(Halves value, bf16* to) {
  hn::StoreU(value, HalfTag(), reinterpret_cast<std::uint16_t*>(to));
}
// even 0, odd 0, even 1, odd 1, ...
HWY_INLINE void store_pairs(Halves even, Halves odd, bf16* to) {
  const Bits pairs = hn::Or(hn::PromoteTo(kBits, even), hn::ShiftLeft<16>(hn::PromoteTo(kBits, odd)));
  hn::StoreU(pairs, kBits, reinterpret_cast<std::uint32_t*>(to));
}
// The low halves of 32-bit words whose high halves are zero.
HWY_INLINE Halves low_halves(Bits words) {
  return hn::DemoteTo(HalfTag(), hn::BitCast(hn::RebindToSigned<BitsTag>(), words));
}

// As bf16, rounded to nearest, ties to even; a NaN stays a NaN.
HWY_INLINE Halves round_to_bf16(Floats value) {
#if HWY_TARGET <= HWY_AVX3 && defined(__AVX512BF16__)
  // One instruction, which this version of Highway does not have.
  return Halves{std::bit_cast<__m256i>(_mm512_cvtneps_pbh(value.raw))};
#else
  const Bits bits = hn::BitCast(kBits, value);
  const Bits odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(kBits, 1));
  const Bits rounded = hn::Add(hn::Add(bits, hn::Set(kBits, 0x7fff)), odd);
  const Bits quiet = hn::Or(bits, hn::Set(kBits, 0x400000));
  return low_halves(hn::ShiftRight<16>(hn::IfThenElse(hn::RebindMask(kBits, hn::IsNaN(value)), quiet, rounded)));
#endif
}

HWY_INLINE Floats load(const float* from) {
  return hn::LoadU(kFloats, from);
}
HWY_INLINE Floats load(const bf16* from) {
  return hn::BitCast(kFloats, hn::ShiftLeft<16>(hn::PromoteTo(kBits, load_halves(from))));
}
HWY_INLINE void store(Floats value, float* to) {
  hn::StoreU(value, kFloats, to);
}
HWY_INLINE void store(Floats value, bf16* to) {
  store(round_to_bf16(value), to);
}

// Four rows of four elements.
inline constexpr std::int64_t kSquare = 4;

template <class T>
using SquareTag = hn::FixedTag<T, kSquare>;

HWY_INLINE hn::Vec<SquareTag<float>> load_square_row(const float* from) {
  return hn::LoadU(SquareTag<float>(), from);
}
HWY_INLINE hn::Vec<SquareTag<std::uint32_t>> load_square_row(const std::uint32_t* from) {
  return hn::LoadU(SquareTag<std::uint32_t>(), from);
}
HWY_INLINE hn::Vec<SquareTag<float>> load_square_row(const bf16* from) {
  const auto bits = hn::LoadU(SquareTag<std::uint16_t>(), reinterpret_cast<const std::uint16_t*>(from));
  return hn::BitCast(SquareTag<float>(), hn::ShiftLeft<16>(hn::PromoteTo(SquareTag<std::uint32_t>(), bits)));
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

// e^x to about 1 ulp for x <= 88; 0 below -87, NaN of NaN. The polynomial interpolates (e^r - 1 - r) / r^2 at Chebyshev
// nodes of |r| <= ln 2 / 2, to 1e-8.
HWY_INLINE Floats exp(Floats x) {
  // Adding 1.5 2^23 rounds to an integer and leaves it in the low bits, from where it moves into the exponent.
  const Floats shift = hn::Set(kFloats, 0x1.8p23F);
  const Floats shifted = hn::MulAdd(x, hn::Set(kFloats, 0x1.715476p0F), shift);
  const Floats n = hn::Sub(shifted, shift);
  Floats r = hn::NegMulAdd(n, hn::Set(kFloats, 0x1.62e4p-1F), x);
  r = hn::NegMulAdd(n, hn::Set(kFloats, 0x1.7f7d1cp-20F), r);
  Floats q = hn::Set(kFloats, 0.0013926176F);
  q = hn::MulAdd(q, r, hn::Set(kFloats, 0.008363173F));
  q = hn::MulAdd(q, r, hn::Set(kFloats, 0.041666555F));
  q = hn::MulAdd(q, r, hn::Set(kFloats, 0.16666577F));
  q = hn::MulAdd(q, r, hn::Set(kFloats, 0.5F));
  const Floats power = hn::Add(hn::MulAdd(hn::Mul(r, r), q, r), hn::Set(kFloats, 1));
  const Bits scaled = hn::Add(hn::BitCast(kBits, power), hn::ShiftLeft<23>(hn::BitCast(kBits, shifted)));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(kFloats, -87.0F)), hn::BitCast(kFloats, scaled));
}

}  // namespace retape::nn::cpu::attention
