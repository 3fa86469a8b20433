// Vector helpers of the attention kernels: loads and stores by dtype, the exponential, and random bits for dropout.
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

#include <cstdint>

#include "nn/runtime/philox.h"
#include "nn/tensor/dtype.h"

namespace retape::nn::cpu::attention {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using BitsTag = hn::RebindToUnsigned<FloatTag>;
using Floats = hn::Vec<FloatTag>;
using Bits = hn::Vec<BitsTag>;

inline constexpr FloatTag kFloats;
inline constexpr BitsTag kBits;
inline constexpr std::int64_t kLanes = static_cast<std::int64_t>(hn::MaxLanes(kFloats));

HWY_INLINE Floats load(const float* from) {
  return hn::LoadU(kFloats, from);
}

HWY_INLINE Floats load(const bf16* from) {
  const hn::Rebind<std::uint16_t, FloatTag> halves;
  const auto bits = hn::LoadU(halves, reinterpret_cast<const std::uint16_t*>(from));
  return hn::BitCast(kFloats, hn::ShiftLeft<16>(hn::PromoteTo(kBits, bits)));
}

HWY_INLINE void store(Floats value, float* to) {
  hn::StoreU(value, kFloats, to);
}

// The bits of bf16 in the upper halves, rounded to nearest, ties to even; a NaN stays a NaN.
HWY_INLINE Bits round_to_bf16(Floats value) {
  const Bits bits = hn::BitCast(kBits, value);
  const Bits odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(kBits, 1));
  const Bits rounded = hn::Add(hn::Add(bits, hn::Set(kBits, 0x7fff)), odd);
  const Bits quiet = hn::Or(bits, hn::Set(kBits, 0x400000));
  return hn::IfThenElse(hn::RebindMask(kBits, hn::IsNaN(value)), quiet, rounded);
}

HWY_INLINE void store(Floats value, bf16* to) {
  const hn::Rebind<std::uint16_t, FloatTag> halves;
  const hn::RebindToSigned<BitsTag> wide;
  const auto bits = hn::BitCast(wide, hn::ShiftRight<16>(round_to_bf16(value)));
  hn::StoreU(hn::DemoteTo(halves, bits), halves, reinterpret_cast<std::uint16_t*>(to));
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
