// Numbers for tests: the same for the same seed everywhere, and comparisons with a float64 reference.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "nn/base/units.h"
#include "nn/runtime/philox.h"
#include "nn/tensor/dtype.h"

namespace retape::testing {

// `value` rounded to T.
template <class T>
T rounded(double value) {
  if constexpr (std::is_same_v<T, nn::bf16>) {
    return nn::to_bf16(static_cast<float>(value));
  } else {
    return static_cast<T>(value);
  }
}

template <class T>
double to_double(T value) {
  if constexpr (std::is_same_v<T, nn::bf16>) {
    return nn::to_float(value);
  } else {
    return static_cast<double>(value);
  }
}

template <class T>
std::vector<double> to_doubles(const std::vector<T>& values) {
  std::vector<double> doubles;
  doubles.reserve(values.size());
  for (const T value : values) {
    doubles.push_back(to_double(value));
  }
  return doubles;
}

// `count` values spread evenly over [low, high), rounded to T (float or bf16).
template <class T>
std::vector<T> random_values(Elems count, std::uint64_t seed, double low = -1, double high = 1) {
  const nn::RngRange range{seed, 0};
  std::vector<T> values;
  values.reserve(static_cast<std::size_t>(count));
  for (Elems i = 0; i < count; ++i) {
    values.push_back(rounded<T>(low + (high - low) * (range.bits(i) / 4294967296.0)));
  }
  return values;
}

// `count` numbers spread evenly over [0, below).
inline std::vector<std::int32_t> random_indices(Elems count, std::uint64_t seed, std::int32_t below) {
  const nn::RngRange range{seed, 0};
  std::vector<std::int32_t> values;
  values.reserve(static_cast<std::size_t>(count));
  for (Elems i = 0; i < count; ++i) {
    values.push_back(static_cast<std::int32_t>(range.bits(i) % static_cast<std::uint32_t>(below)));
  }
  return values;
}

struct Tolerance {
  double relative = 0;
  double absolute = 0;
};

// What rounding once to T may cost, on top of `in_f32` for the arithmetic before.
template <class T>
Tolerance tolerance(const Tolerance& in_f32) {
  if constexpr (std::is_same_v<T, nn::bf16>) {
    return {in_f32.relative + 1.0 / 256, in_f32.absolute};
  } else {
    return in_f32;
  }
}

// Whether each value is its reference within the tolerance; the message tells the first that is not.
template <class T>
::testing::AssertionResult is_close(const std::vector<T>& values, const std::vector<double>& references,
                                    const Tolerance& tolerance) {
  if (values.size() != references.size()) {
    return ::testing::AssertionFailure() << "expected " << references.size() << " values, got " << values.size();
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double value = to_double(values[i]);
    const double allowed = tolerance.absolute + tolerance.relative * std::abs(references[i]);
    if (!(std::abs(value - references[i]) <= allowed)) {
      return ::testing::AssertionFailure()
             << "at " << i << ": expected " << references[i] << ", got " << value << ", which is off by "
             << std::abs(value - references[i]) << ", not " << allowed;
    }
  }
  return ::testing::AssertionSuccess();
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

}  // namespace retape::testing
