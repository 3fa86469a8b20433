#include "nn/base/units.h"

#include <gtest/gtest.h>

#include "nn/base/error.h"

namespace retape {
namespace {

TEST(Units, FormatsBytesWithTheLargestUnitThatFits) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(6_GiB), "6.0 GiB");
}

TEST(Units, ParsesSizes) {
  EXPECT_EQ(parse_bytes("4096"), 4096);
  EXPECT_EQ(parse_bytes("6GiB"), 6_GiB);
  EXPECT_EQ(parse_bytes("1.5 MiB"), 1_MiB + 512_KiB);
  EXPECT_EQ(parse_bytes("2GB"), 2'000'000'000);
  EXPECT_EQ(parse_bytes(format_bytes(1024_GiB)), 1024_GiB);
  EXPECT_EQ(parse_bytes("0"), 0);
  EXPECT_EQ(parse_bytes("0.5KiB"), 512);
}

TEST(Units, RefusesWhatIsNoSize) {
  for (const char* text :
       {"", "GiB", "6 gigs", "-1", "nan", "inf", "1e40GiB", "9e99", "1e400", "0x10", "0.5", "1e-30TiB"}) {
    EXPECT_THROW(parse_bytes(text), ConfigError) << text;
  }
}

TEST(Units, RoundsUp) {
  EXPECT_EQ(round_up(1, 256), 256);
  EXPECT_EQ(round_up(256, 256), 256);
  EXPECT_EQ(ceil_div(7, 3), 3);
}

}  // namespace
}  // namespace retape
