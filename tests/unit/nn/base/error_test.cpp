#include "nn/base/error.h"

#include <gmock/gmock.h>

#include <vector>

namespace retape {
namespace {

using testing::EndsWith;
using testing::StartsWith;

template <class... Args>
std::string message_of(fmt::format_string<Args...> format, Args&&... args) {
  try {
    fail<DataError>(format, std::forward<Args>(args)...);
  } catch (const DataError& error) {
    return error.what();
  }
}

TEST(Error, TextsUpToTheLimitStandWhole) {
  const std::string path(kLongestQuote, 'p');
  EXPECT_EQ(message_of("[file] {}: byte {} of {}", path, 3, 'x'), "[file] " + path + ": byte 3 of x");
  EXPECT_EQ(message_of("{:<5}|{:.1f}|{}", "ab", 1.25, std::string_view("cd")), "ab   |1.2|cd");
}

TEST(Error, LongerTextsAreCutInTheMiddle) {
  const std::string path = "/begin/" + std::string(160'000, 'p') + "/end.txt";
  const std::string cut = excerpt(path);
  EXPECT_EQ(cut.size(), kLongestQuote);
  EXPECT_THAT(cut, StartsWith("/begin/ppp"));
  EXPECT_THAT(cut, EndsWith("ppp/end.txt"));
  EXPECT_NE(cut.find("p...p"), std::string::npos);
  EXPECT_EQ(message_of("[file] {}: got {}", path, path.c_str()), "[file] " + cut + ": got " + cut);
  EXPECT_THROW(require<DataError>(false, "{}", path), DataError);
}

TEST(Error, AMessageWithinAMessageStandsWhole) {
  const std::string inner(500, 'm');
  EXPECT_EQ(message_of("{}; {}", Whole{inner}, "more"), inner + "; more");
}

TEST(Error, ACutLeavesCharactersWhole) {
  std::string text;
  for (int i = 0; i < 300; ++i) {
    text += "\xe2\x82\xac";  // a euro sign
  }
  for (std::size_t longest = 20; longest < 40; ++longest) {
    const std::string cut = excerpt(text, longest);
    EXPECT_LE(cut.size(), longest);
    EXPECT_EQ((cut.size() - 3) % 3, 0U) << cut;
    EXPECT_THAT(cut, StartsWith("\xe2\x82\xac"));
    EXPECT_THAT(cut, EndsWith("\xe2\x82\xac"));
  }
  EXPECT_LE(excerpt(std::string(300, '\x80')).size(), kLongestQuote);
  EXPECT_EQ(excerpt("abcdef", 3), "...");
}

}  // namespace
}  // namespace retape
