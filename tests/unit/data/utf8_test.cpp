#include "data/utf8.h"

#include <gtest/gtest.h>

namespace retape::data {
namespace {

TEST(Utf8, RoundTripsEveryCodePoint) {
  for (char32_t value = 0; value <= kMaxCodePoint; ++value) {
    std::string text;
    append_utf8(text, value);
    const CodePoint point = decode_utf8(text, 0);
    if (value >= 0xD800 && value <= 0xDFFF) {
      ASSERT_EQ(point.length, 0) << static_cast<unsigned>(value);
    } else {
      ASSERT_EQ(point.value, value);
      ASSERT_EQ(static_cast<std::size_t>(point.length), text.size());
    }
  }
}

TEST(Utf8, KnowsTheLengths) {
  const std::string text = "a\u00E9\u20AC\U0001F600";
  EXPECT_EQ(decode_utf8(text, 0).length, 1);
  EXPECT_EQ(decode_utf8(text, 1).length, 2);
  EXPECT_EQ(decode_utf8(text, 3).length, 3);
  EXPECT_EQ(decode_utf8(text, 6).length, 4);
  EXPECT_EQ(text.size(), 10U);
}

TEST(Utf8, RefusesWhatIsNotUtf8) {
  for (const std::string_view bytes :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x80\x80", "\xE2\x82", "\xED\xA0\x80",
        "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "\xFE", "\xFF"}) {
    EXPECT_EQ(decode_utf8(bytes, 0).length, 0) << testing::PrintToString(bytes);
  }
}

TEST(Utf8, DescribesACharacter) {
  EXPECT_EQ(describe('a'), "'a' (U+0061)");
  EXPECT_EQ(describe(U'\u00E9'), "'\u00E9' (U+00E9)");
  EXPECT_EQ(describe('\n'), "U+000A");
  EXPECT_EQ(describe(0x9F), "U+009F");
}

}  // namespace
}  // namespace retape::data
