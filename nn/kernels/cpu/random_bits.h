// Philox bits of many elements at once.
#pragma once

#include <algorithm>
#include <cstdint>

#include "nn/kernels/cpu/simd.h"
#include "nn/runtime/philox.h"

namespace retape::nn::cpu {

using Words = hn::ScalableTag<std::uint64_t>;

// random_bits writes whole groups of this many elements.
inline constexpr Elems kRandomBitsStep = 4 * static_cast<Elems>(hn::MaxLanes(Words{}));

// The bits of as many counters as there are 64-bit lanes, in the order of the elements. Each word of a counter fills
// the lower half of a lane, where a widening multiply finds it; what gathers in the upper halves does not matter.
template <class D>
HWY_INLINE void philox_vector(D d, hn::Vec<D> counters, PhiloxKey key, std::uint32_t* bits) {
  const hn::Repartition<std::uint32_t, D> halves;
  const auto multiplier0 = hn::Set(halves, kPhiloxMultiplier0);
  const auto multiplier1 = hn::Set(halves, kPhiloxMultiplier1);
  auto c0 = counters;
  auto c1 = hn::ShiftRight<32>(counters);
  auto c2 = hn::Zero(d);
  auto c3 = hn::Zero(d);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const auto product0 = hn::MulEven(hn::BitCast(halves, c0), multiplier0);
    const auto product1 = hn::MulEven(hn::BitCast(halves, c2), multiplier1);
    c0 = hn::Xor3(hn::ShiftRight<32>(product1), c1, hn::Set(d, std::uint64_t{key[0]}));
    c1 = product1;
    c2 = hn::Xor3(hn::ShiftRight<32>(product0), c3, hn::Set(d, std::uint64_t{key[1]}));
    c3 = product0;
    key[0] += kPhiloxWeyl0;
    key[1] += kPhiloxWeyl1;
  }
  const auto lower = hn::Set(d, std::uint64_t{0xffffffffU});
  const auto words01 = hn::Or(hn::And(c0, lower), hn::ShiftLeft<32>(c1));
  const auto words23 = hn::Or(hn::And(c2, lower), hn::ShiftLeft<32>(c3));
  alignas(64) std::uint64_t interleaved[2 * hn::MaxLanes(D{})];
  hn::StoreInterleaved2(words01, words23, d, interleaved);
  std::memcpy(bits, interleaved, 2 * sizeof(std::uint64_t) * hn::Lanes(d));
}

template <class D>
HWY_INLINE void random_bits(D d, const RngRange& range, Elems first, Elems count, std::uint32_t* bits) {
  const PhiloxKey key{static_cast<std::uint32_t>(range.seed), static_cast<std::uint32_t>(range.seed >> 32)};
  const auto step = 4 * static_cast<Elems>(hn::Lanes(d));
  for (Elems i = 0; i < count; i += step) {
    const std::uint64_t counter = range.offset + static_cast<std::uint64_t>((first + i) / 4);
    if constexpr (HWY_TARGET == HWY_SCALAR) {
      const PhiloxCounter block =
          philox4x32({static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32), 0, 0}, key);
      std::copy(block.begin(), block.end(), bits + i);
    } else {
      philox_vector(d, hn::Add(hn::Set(d, counter), hn::Iota(d, std::uint64_t{0})), key, bits + i);
    }
  }
}

// bits[i] = range.bits(first + i) for i in [0, count). `first` is a multiple of 4, and `bits` has room for `count`
// rounded up to kRandomBitsStep.
inline void random_bits(const RngRange& range, Elems first, Elems count, std::uint32_t* bits) {
  random_bits(Words{}, range, first, count, bits);
}

}  // namespace retape::nn::cpu
