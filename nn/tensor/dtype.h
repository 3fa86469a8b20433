// Element types of tensors: f64 for sums, i32 for ids.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

#include "nn/base/error.h"
#include "nn/base/units.h"

namespace retape::nn {

enum class DType : std::uint8_t { f32, bf16, i32, f64 };

constexpr Bytes size_of(DType dtype) {
  switch (dtype) {
    case DType::bf16: return 2;
    case DType::f64: return 8;
    default: return 4;
  }
}

constexpr std::string_view name(DType dtype) {
  switch (dtype) {
    case DType::f32: return "f32";
    case DType::bf16: return "bf16";
    case DType::i32: return "i32";
    case DType::f64: return "f64";
  }
  return "?";
}

// The upper half of an f32: 8 exponent bits, 7 fraction bits.
struct bf16 {
  std::uint16_t bits;
};

constexpr float to_float(bf16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}
constexpr float to_float(float value) {
  return value;
}

// Rounds to nearest, ties to even; a NaN stays a NaN.
constexpr bf16 to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) {
    return {static_cast<std::uint16_t>((bits >> 16) | 0x40U)};
  }
  return {static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16)};
}

// Of other types than these there are no tensors.
template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType kValue = DType::f32;
};
template <>
struct DTypeOf<bf16> {
  static constexpr DType kValue = DType::bf16;
};
template <>
struct DTypeOf<std::int32_t> {
  static constexpr DType kValue = DType::i32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType kValue = DType::f64;
};
template <class T>
inline constexpr DType kDTypeOf = DTypeOf<T>::kValue;

}  // namespace retape::nn
