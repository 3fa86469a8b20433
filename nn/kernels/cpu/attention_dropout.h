// The dropout mask of the probabilities, drawn again wherever it is needed.
#pragma once

#include <cstdint>

#include "nn/kernels/attention.h"
#include "nn/kernels/cpu/attention_simd.h"
#include "nn/kernels/cpu/random_bits.h"

namespace retape::nn::cpu::attention {

class Dropout {
 public:
  explicit Dropout(const AttentionShape& shape)
      : rng_(shape.rng), threshold_(drop_threshold(shape.dropout)), scale_(1 / (1 - shape.dropout)) {}

  bool active() const { return threshold_ > 0; }

  // How long the buffer of `draw` must be for `count` elements.
  static constexpr std::int64_t buffer_elems(std::int64_t count) {
    return round_up(count + 3, kRandomBitsStep) + kLanes;
  }

  // Fills `buffer` and returns where in it the random bits of elements first, first + 1, ..., first + count - 1 are.
  // A whole vector may be read from any element before first + count.
  const std::uint32_t* draw(Elems first, std::int64_t count, std::uint32_t* buffer) const;

  static constexpr std::int64_t kWordBits = 32;
  // Bit i says whether element first + i is kept. The buffer is that of kWordBits elements.
  std::uint32_t draw_kept(Elems first, std::uint32_t* buffer) const;

  // The values where they are kept, grown by 1 / (1 - p); 0 where they are dropped.
  HWY_INLINE FloatVector apply(FloatVector values, const std::uint32_t* bits) const {
    const auto drop = hn::Lt(hn::LoadU(kBits, bits), hn::Set(kBits, threshold_));
    return hn::IfThenZeroElse(hn::RebindMask(kFloats, drop), hn::Mul(values, splat(scale_)));
  }
  HWY_INLINE FloatVector apply(FloatVector values, hn::Mask<Floats> kept) const {
    return hn::IfThenElseZero(kept, hn::Mul(values, splat(scale_)));
  }

 private:
  RngRange rng_;
  std::uint32_t threshold_;
  float scale_;
};

}  // namespace retape::nn::cpu::attention
