// Vectors of f32 for the CPU kernels, as wide as the processor has them: arrays of f32 and bf16 of any length are
// loaded to f32, computed with in f32 and rounded once when they are stored.
#pragma once

// One instruction set, that of -march: there is nothing to choose at run time. The scalable vectors of SVE cannot be
// captured or kept in arrays, so those processors take NEON.
#ifndef HWY_COMPILE_ONLY_STATIC
#define HWY_COMPILE_ONLY_STATIC
#endif
#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#endif
#include <hwy/highway.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "nn/base/units.h"
#include "nn/tensor/dtype.h"

namespace retape::nn::cpu {

namespace hn = hwy::HWY_NAMESPACE;

#ifdef __AVX2__
static_assert(HWY_MAX_BYTES >= 32, "Highway takes AVX2 only with -maes and -mpclmul: see nn/CMakeLists.txt");
#endif

using Floats = hn::ScalableTag<float>;
using FloatVector = hn::Vec<Floats>;
using FloatBits = hn::RebindToUnsigned<Floats>;
using Bf16Bits = hn::Rebind<std::uint16_t, Floats>;

inline Elems lane_count() {
  return static_cast<Elems>(hn::Lanes(Floats{}));
}

inline FloatVector splat(float value) {
  return hn::Set(Floats{}, value);
}

// The lanes of a vector that an array has elements for: all, or the first few where it ends.
struct AllLanes {};
struct FirstLanes {
  std::size_t count;
};

// Calls f(i, lanes) for the elements [begin, end), a vector at a time.
template <class F>
HWY_INLINE void for_each_vector(Elems begin, Elems end, F f) {
  const Elems step = lane_count();
  Elems i = begin;
  for (; i + step <= end; i += step) {
    f(i, AllLanes{});
  }
  if (i < end) {
    f(i, FirstLanes{static_cast<std::size_t>(end - i)});
  }
}

HWY_INLINE FloatVector load(const float* from, AllLanes) {
  return hn::LoadU(Floats{}, from);
}

HWY_INLINE FloatVector load(const bf16* from, AllLanes) {
  const auto halves = hn::LoadU(Bf16Bits{}, &from->bits);
  return hn::BitCast(Floats{}, hn::ShiftLeft<16>(hn::PromoteTo(FloatBits{}, halves)));
}

HWY_INLINE void store(FloatVector value, float* to, AllLanes) {
  hn::StoreU(value, Floats{}, to);
}

// The bits of to_bf16 in each lane: to nearest, ties to even; a NaN stays a NaN.
HWY_INLINE void store(FloatVector value, bf16* to, AllLanes) {
  const FloatBits d;
  const auto bits = hn::BitCast(d, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d, 1U));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(d, 0x7fffU)));
  const auto quiet = hn::Or(bits, hn::Set(d, 0x400000U));
  const auto chosen = hn::IfThenElse(hn::RebindMask(d, hn::IsNaN(value)), quiet, rounded);
  hn::StoreU(hn::TruncateTo(Bf16Bits{}, hn::ShiftRight<16>(chosen)), Bf16Bits{}, &to->bits);
}

// A few elements go through a buffer, since not every processor can leave the rest of memory untouched.
template <class T>
using VectorBuffer = std::array<T, hn::MaxLanes(Floats{})>;

// Lanes past the array's end are zero.
template <class T>
HWY_INLINE FloatVector load(const T* from, FirstLanes lanes) {
  VectorBuffer<T> buffer{};
  std::memcpy(buffer.data(), from, lanes.count * sizeof(T));
  return load(buffer.data(), AllLanes{});
}

template <class T>
HWY_INLINE void store(FloatVector value, T* to, FirstLanes lanes) {
  VectorBuffer<T> buffer;
  store(value, buffer.data(), AllLanes{});
  std::memcpy(to, buffer.data(), lanes.count * sizeof(T));
}

// Stores the value, or its sum with what is there.
template <class T>
HWY_INLINE void store_or_add(FloatVector value, T* to, bool add, auto lanes) {
  store(add ? hn::Add(load(to, lanes), value) : value, to, lanes);
}

// `value` with `other` in the lanes past the array's end.
HWY_INLINE FloatVector with_rest(FloatVector value, float /*other*/, AllLanes) {
  return value;
}
HWY_INLINE FloatVector with_rest(FloatVector value, float other, FirstLanes lanes) {
  return hn::IfThenElse(hn::FirstN(Floats{}, lanes.count), value, splat(other));
}

HWY_INLINE float sum_of_lanes(FloatVector value) {
  return hn::GetLane(hn::SumOfLanes(Floats{}, value));
}
HWY_INLINE float max_of_lanes(FloatVector value) {
  return hn::GetLane(hn::MaxOfLanes(Floats{}, value));
}

// e^x within 2 units in the last place: 0 below -87, that of 88 above 88, NaN for NaN.
HWY_INLINE FloatVector exp(FloatVector x) {
  const FloatBits bits;
  // Not a minimum, which may lose a NaN.
  x = hn::IfThenElse(hn::Gt(x, splat(88.0F)), splat(88.0F), x);
  // Adding 1.5 2^23 leaves n = round(x / ln 2) in the low bits of the fraction.
  const FloatVector shift = splat(12582912.0F);
  const FloatVector shifted = hn::MulAdd(x, splat(1.44269504F), shift);
  const FloatVector n = hn::Sub(shifted, shift);
  // ln 2 in two parts, the first so short that its product with n is exact.
  FloatVector r = hn::NegMulAdd(n, splat(0.693145751953125F), x);
  r = hn::NegMulAdd(n, splat(1.42860677e-6F), r);
  // e^r = 1 + r + r^2 p(r), p within 1e-8 for |r| <= ln 2 / 2.
  FloatVector p = splat(0.001392617612F);
  p = hn::MulAdd(p, r, splat(0.008363173075F));
  p = hn::MulAdd(p, r, splat(0.04166655466F));
  p = hn::MulAdd(p, r, splat(0.1666657703F));
  p = hn::MulAdd(p, r, splat(0.5F));
  p = hn::MulAdd(p, r, splat(1.0F));
  p = hn::MulAdd(p, r, splat(1.0F));
  const auto power = hn::Add(hn::ShiftLeft<23>(hn::BitCast(bits, shifted)), hn::Set(bits, 0x3f800000U));
  return hn::IfThenZeroElse(hn::Lt(x, splat(-87.0F)), hn::Mul(p, hn::BitCast(Floats{}, power)));
}

// As T, rounded.
template <class T>
T rounded(float value) {
  if constexpr (std::is_same_v<T, bf16>) {
    return to_bf16(value);
  } else {
    return value;
  }
}

// Calls f with a value of the type that `dtype` names.
template <class F>
void dispatch(DType dtype, F f) {
  if (dtype == DType::bf16) {
    f(bf16{});
  } else {
    f(float{});
  }
}

}  // namespace retape::nn::cpu
