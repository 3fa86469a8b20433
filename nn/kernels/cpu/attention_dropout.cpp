#include "nn/kernels/cpu/attention_dropout.h"

#include <cstring>

namespace retape::nn::cpu::attention {

namespace {

using WordTag = hn::Repartition<std::uint64_t, FloatTag>;
using Words = hn::Vec<WordTag>;
constexpr WordTag kWords;
constexpr std::int64_t kCounters = static_cast<std::int64_t>(hn::MaxLanes(kWords));

// The 32-bit products of the low halves, as 64 bits.
HWY_INLINE Words multiply(Words a, std::uint32_t b) {
  return hn::MulEven(hn::BitCast(kBits, a), hn::Set(kBits, b));
}

// The bits of the four elements of each of the counters c, c + 1, ...: one counter to a 64-bit lane, each of its words
// in the low half of a vector's lane. What the upper halves hold is never read.
HWY_INLINE void store_bits(std::uint64_t first_counter, std::uint64_t seed, std::uint32_t* to) {
  const Words counter = hn::Add(hn::Set(kWords, first_counter), hn::Iota(kWords, 0));
  Words c0 = counter;
  Words c1 = hn::ShiftRight<32>(counter);
  Words c2 = hn::Zero(kWords);
  Words c3 = hn::Zero(kWords);
  auto key0 = static_cast<std::uint32_t>(seed);
  auto key1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const Words product0 = multiply(c0, kPhiloxMultiplier0);
    const Words product1 = multiply(c2, kPhiloxMultiplier1);
    c0 = hn::Xor(hn::Xor(hn::ShiftRight<32>(product1), c1), hn::Set(kWords, key0));
    c1 = product1;
    c2 = hn::Xor(hn::Xor(hn::ShiftRight<32>(product0), c3), hn::Set(kWords, key1));
    c3 = product0;
    key0 += kPhiloxWeyl0;
    key1 += kPhiloxWeyl1;
  }
  const Words low_half = hn::Set(kWords, 0xffffffffU);
  const Words words01 = hn::Or(hn::And(c0, low_half), hn::ShiftLeft<32>(c1));
  const Words words23 = hn::Or(hn::And(c2, low_half), hn::ShiftLeft<32>(c3));
  hn::StoreInterleaved2(words01, words23, kWords, reinterpret_cast<std::uint64_t*>(to));
}

}  // namespace

const std::uint32_t* Dropout::draw(Elems first, std::int64_t count, std::uint32_t* buffer) const {
  const std::int64_t before = first % 4;
  const std::uint64_t counter = rng_.offset + static_cast<std::uint64_t>(first / 4);
  for (std::int64_t done = 0; done < before + count; done += 4 * kCounters) {
    store_bits(counter + static_cast<std::uint64_t>(done / 4), rng_.seed, buffer + done);
  }
  return buffer + before;
}

std::uint32_t Dropout::draw_kept(Elems first, std::uint32_t* buffer) const {
  const std::uint32_t* bits = draw(first, 32, buffer);
  std::uint32_t kept = 0;
  for (std::int64_t i = 0; i < 32; i += kLanes) {
    const auto drop = hn::Lt(hn::LoadU(kBits, bits + i), hn::Set(kBits, threshold_));
    std::uint8_t mask[8] = {};
    hn::StoreMaskBits(kBits, hn::Not(drop), mask);
    std::uint32_t lanes = 0;
    std::memcpy(&lanes, mask, sizeof lanes);
    kept |= lanes << i;
  }
  return kept;
}

}  // namespace retape::nn::cpu::attention
