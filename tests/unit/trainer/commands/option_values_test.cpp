#include "trainer/commands/option_values.h"

#include <gmock/gmock.h>

#include <array>
#include <functional>
#include <limits>

namespace retape::trainer {
namespace {

constexpr std::int64_t kMaxInt = std::numeric_limits<std::int64_t>::max();

std::string refusal_of(const std::function<void()>& read) {
  try {
    read();
  } catch (const CommandLineError& error) {
    return error.what();
  }
  ADD_FAILURE() << "accepted";
  return "";
}

TEST(OptionValues, IntegersAreInRange) {
  EXPECT_EQ(integer_option("--tokens", "0", 0, 9), 0);
  EXPECT_EQ(integer_option("--tokens", "9", 0, 9), 9);
  EXPECT_EQ(integer_option("--seed", "9223372036854775807", 0, kMaxInt), kMaxInt);
  for (const char* text : {"-1", "10", "", "99999999999999999999", "1.5", "ten", "0x5"}) {
    EXPECT_EQ(refusal_of([&] { integer_option("--tokens", text, 0, 9); }),
              fmt::format("--tokens: expected an integer from 0 to 9, got \"{}\"", text));
  }
  EXPECT_EQ(refusal_of([] { integer_option("--seed", "9223372036854775808", 0, kMaxInt); }),
            "--seed: expected an integer of at least 0, got \"9223372036854775808\"");
}

TEST(OptionValues, NumbersAreFinite) {
  const schema::Interval allowed{.min = 0, .max = std::numeric_limits<double>::infinity()};
  EXPECT_EQ(number_option("--temperature", "0.8", allowed), 0.8);
  for (const char* text : {"-1", "nan", "inf", "1e400", "", "warm"}) {
    EXPECT_EQ(refusal_of([&] { number_option("--temperature", text, allowed); }),
              fmt::format("--temperature: expected a number of at least 0, got \"{}\"", text));
  }
}

TEST(OptionValues, TextsAreNotEmpty) {
  EXPECT_EQ(text_option("--output", "a b"), "a b");
  EXPECT_EQ(refusal_of([] { text_option("--output", ""); }), "--output: expected a string, not empty, got \"\"");
}

TEST(OptionValues, NamesAreThoseThatThereAre) {
  constexpr std::array<std::string_view, 2> kNames{"u16", "llmc"};
  EXPECT_EQ(name_option("--format", "llmc", kNames), "llmc");
  EXPECT_EQ(refusal_of([&] { name_option("--format", "u32", kNames); }),
            "--format: expected \"u16\" or \"llmc\", got \"u32\"");
}

}  // namespace
}  // namespace retape::trainer
