#include "data/files/checksum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

namespace retape::data {
namespace {

std::uint64_t checksum_of(std::string_view text) {
  return checksum(std::as_bytes(std::span(text)));
}

// The expected values are those of the reference implementation of XXH64.
TEST(Checksum, IsXxh64) {
  EXPECT_EQ(checksum_of(""), 0xef46db3751d8e999U);
  EXPECT_EQ(checksum_of("a"), 0xd24ec4f1a98c6e5bU);
  EXPECT_EQ(checksum_of("abc"), 0x44bc2cf5ad770999U);
  EXPECT_EQ(checksum_of("123456789"), 0x8cb841db40e6ae83U);
  EXPECT_EQ(checksum_of("Call me Ishmael. Some years ago--never mind how long precisely-"), 0x02a2e85470d6fd96U);
}

TEST(Checksum, IsXxh64OverManyStripes) {
  std::string bytes;
  for (int i = 0; i < 1'000'003; ++i) {
    bytes.push_back(static_cast<char>(i % 251));
  }
  EXPECT_EQ(checksum_of(bytes), 0xa72f178960c4e5bdU);
}

TEST(Checksum, DoesNotDependOnAlignment) {
  const std::string text = "Call me Ishmael. Some years ago--never mind how long precisely-";
  for (std::size_t shift = 0; shift < 8; ++shift) {
    const std::string shifted = std::string(shift, '?') + text;
    EXPECT_EQ(checksum_of(std::string_view(shifted).substr(shift)), checksum_of(text));
  }
}

TEST(Checksum, DoesNotDependOnThePieces) {
  std::string text;
  for (int i = 0; i < 200; ++i) {
    text.push_back(static_cast<char>(i));
  }
  const auto bytes = std::as_bytes(std::span(text));
  for (std::size_t first = 0; first <= bytes.size(); ++first) {
    for (const std::size_t step : {1, 7, 32, 33}) {
      Checksum sum;
      sum.add(bytes.first(first));
      for (std::size_t at = first; at < bytes.size(); at += step) {
        sum.add(bytes.subspan(at, std::min(step, bytes.size() - at)));
      }
      EXPECT_EQ(sum.value(), checksum(bytes)) << first << " and " << step;
    }
  }
  EXPECT_EQ(Checksum().value(), checksum({}));
}

TEST(Checksum, SeesEveryBit) {
  std::string bytes(77, '\x5a');
  const std::uint64_t before = checksum_of(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    const auto mask = static_cast<char>(1 << (bit % 8));
    bytes[bit / 8] ^= mask;
    EXPECT_NE(checksum_of(bytes), before) << bit;
    bytes[bit / 8] ^= mask;
  }
}

}  // namespace
}  // namespace retape::data
