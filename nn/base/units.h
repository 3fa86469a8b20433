// Quantities that carry their unit in their type's name, and how they are read and printed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace retape::nn {

using Bytes = std::int64_t;
using Elems = std::int64_t;
using Flops = std::int64_t;

constexpr Bytes operator""_KiB(unsigned long long n) {
  return static_cast<Bytes>(n) << 10;
}
constexpr Bytes operator""_MiB(unsigned long long n) {
  return static_cast<Bytes>(n) << 20;
}
constexpr Bytes operator""_GiB(unsigned long long n) {
  return static_cast<Bytes>(n) << 30;
}

// n rounded up to the next multiple of `step`.
constexpr std::int64_t round_up(std::int64_t n, std::int64_t step) {
  return (n + step - 1) / step * step;
}

constexpr std::int64_t ceil_div(std::int64_t n, std::int64_t d) {
  return (n + d - 1) / d;
}

// "17.0 MiB", "512 B".
std::string format_bytes(Bytes bytes);

// Reads "6GiB", "512 MiB", "1e9", "4096". Throws ConfigError for anything else.
Bytes parse_bytes(std::string_view text);

}  // namespace retape::nn

// All of Retape counts in them.
namespace retape {

using nn::Bytes;
using nn::ceil_div;
using nn::Elems;
using nn::Flops;
using nn::format_bytes;
using nn::parse_bytes;
using nn::round_up;
using nn::operator""_KiB;
using nn::operator""_MiB;
using nn::operator""_GiB;

}  // namespace retape
