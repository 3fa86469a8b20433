#include "nn/tensor/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace retape::nn {
namespace {

static_assert(size_of(DType::f32) == 4 && size_of(DType::bf16) == 2 && size_of(DType::i32) == 4);
static_assert(size_of(DType::f64) == 8 && name(DType::f64) == "f64" && kDTypeOf<double> == DType::f64);
static_assert(name(DType::f32) == "f32" && name(DType::bf16) == "bf16" && name(DType::i32) == "i32");
static_assert(kDTypeOf<float> == DType::f32 && kDTypeOf<bf16> == DType::bf16 && kDTypeOf<std::int32_t> == DType::i32);

template <class T>
concept HasDType = requires {
  DTypeOf<T>::kValue;
};
static_assert(HasDType<float> && HasDType<double> && !HasDType<std::int64_t> && !HasDType<std::uint16_t>);

constexpr std::uint16_t kInfinity = 0x7f80;
constexpr std::uint16_t kSign = 0x8000;

// The value of a magnitude (no sign bit). What comes after the largest one counts as the power of two it would be.
double magnitude(std::uint32_t bits) {
  return bits >= kInfinity ? std::ldexp(1.0, 128) : double{to_float(bf16{static_cast<std::uint16_t>(bits)})};
}

// The nearest bf16 by measuring the distance to both neighbours.
std::uint16_t nearest(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t below = (bits & 0x7fffffffU) >> 16;
  const double size = std::abs(double{value});
  const double down = size - magnitude(below);
  const double up = magnitude(below + 1) - size;
  const bool take_up = up < down || (up == down && (below & 1U) != 0);
  return static_cast<std::uint16_t>((below + (take_up ? 1U : 0U)) | ((bits >> 16) & kSign));
}

TEST(Bf16, ConvertsToFloatAndBackUnchanged) {
  for (std::uint32_t bits = 0; bits <= 0xffffU; ++bits) {
    const bf16 value{static_cast<std::uint16_t>(bits)};
    if (std::isnan(to_float(value))) {
      EXPECT_TRUE(std::isnan(to_float(to_bf16(to_float(value))))) << bits;
    } else {
      ASSERT_EQ(to_bf16(to_float(value)).bits, bits);
    }
  }
}

TEST(Bf16, RoundsToTheNearestAndTiesToEven) {
  for (std::uint32_t upper = 0; upper <= 0xffffU; ++upper) {
    for (const std::uint32_t lower : {0x0U, 0x1U, 0x1234U, 0x7fffU, 0x8000U, 0x8001U, 0xabcdU, 0xffffU}) {
      const auto value = std::bit_cast<float>(upper << 16 | lower);
      if (std::isfinite(value)) {
        ASSERT_EQ(to_bf16(value).bits, nearest(value)) << std::hex << (upper << 16 | lower);
      }
    }
  }
}

TEST(Bf16, KeepsInfinitiesAndNans) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(to_bf16(kInf).bits, kInfinity);
  EXPECT_EQ(to_bf16(-kInf).bits, kInfinity | kSign);
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()).bits, kInfinity);
  // NaNs whose payload lies in the lower half alone must not turn into an infinity, nor overflow into a zero.
  for (const std::uint32_t bits : {0x7f800001U, 0x7fbfffffU, 0x7fffffffU, 0xff800001U, 0xffffffffU}) {
    const bf16 rounded = to_bf16(std::bit_cast<float>(bits));
    EXPECT_TRUE(std::isnan(to_float(rounded))) << std::hex << bits;
    EXPECT_EQ(rounded.bits & kSign, (bits >> 16) & kSign) << std::hex << bits;
  }
}

TEST(Bf16, KeepsZerosAndSubnormals) {
  EXPECT_EQ(to_bf16(0.0F).bits, 0);
  EXPECT_EQ(to_bf16(-0.0F).bits, kSign);
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::denorm_min()).bits, 0);
  const float smallest = std::ldexp(1.0F, -133);  // of the bf16 subnormals
  EXPECT_EQ(to_bf16(smallest).bits, 1);
  EXPECT_EQ(to_bf16(smallest / 2).bits, 0);
  EXPECT_EQ(to_bf16(smallest * 1.5F).bits, 2);
}

}  // namespace
}  // namespace retape::nn
