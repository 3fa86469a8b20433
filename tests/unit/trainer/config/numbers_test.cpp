#include "trainer/config/numbers.h"

#include <gtest/gtest.h>

#include <limits>

namespace retape::trainer {
namespace {

TEST(Numbers, IntegersAreDigitsAndNothingElse) {
  EXPECT_EQ(parse_integer("0"), 0);
  EXPECT_EQ(parse_integer("-5"), -5);
  EXPECT_EQ(parse_integer("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
  for (const char* text : {"", " ", "-", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "1_000", "ten", "nan",
                           "9223372036854775808", "99999999999999999999", "-9223372036854775809"}) {
    EXPECT_EQ(parse_integer(text), std::nullopt) << text;
  }
}

TEST(Numbers, NumbersAreFiniteAndNothingElse) {
  EXPECT_EQ(parse_number("0.8"), 0.8);
  EXPECT_EQ(parse_number("-1e-3"), -1e-3);
  EXPECT_EQ(parse_number("5"), 5.0);
  for (const char* text : {"", " ", "+1", "1 ", "0x10", "1e400", "1e-400", "inf", "-inf", "infinity", "nan", "NaN",
                           "0.8f", "1,5", "half"}) {
    EXPECT_EQ(parse_number(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace retape::trainer
