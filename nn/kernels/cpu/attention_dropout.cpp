#include "nn/kernels/cpu/attention_dropout.h"

#include <cstring>

namespace retape::nn::cpu::attention {

const std::uint32_t* Dropout::draw(Elems first, std::int64_t count, std::uint32_t* buffer) const {
  const std::int64_t before = first % 4;
  random_bits(rng_, first - before, before + count, buffer);
  return buffer + before;
}

std::uint32_t Dropout::draw_kept(Elems first, std::uint32_t* buffer) const {
  const std::uint32_t* bits = draw(first, kWordBits, buffer);
  std::uint32_t kept = 0;
  for (std::int64_t i = 0; i < kWordBits; i += kLanes) {
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
