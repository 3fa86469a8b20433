#include "data/expand_braces.h"

#include <gmock/gmock.h>

#include "nn/base/error.h"

namespace retape::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

std::string repeated(std::string_view part, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += part;
  }
  return text;
}

TEST(ExpandBraces, GivesEveryAlternative) {
  EXPECT_THAT(expand_braces("plain*.txt"), ElementsAre("plain*.txt"));
  EXPECT_THAT(expand_braces("{a,b}"), ElementsAre("a", "b"));
  EXPECT_THAT(expand_braces("x{a,,b}y{1,2}"), ElementsAre("xay1", "xay2", "xy1", "xy2", "xby1", "xby2"));
  EXPECT_THAT(expand_braces("a{b,c/{d,e}}f"), ElementsAre("abf", "ac/df", "ac/ef"));
  EXPECT_THAT(expand_braces("{one}"), ElementsAre("one"));
}

TEST(ExpandBraces, LeavesWhatIsNoGroup) {
  EXPECT_THAT(expand_braces(""), ElementsAre(""));
  EXPECT_THAT(expand_braces("a{}b"), ElementsAre("a{}b"));
  EXPECT_THAT(expand_braces("a{b,c"), ElementsAre("a{b,c"));
  EXPECT_THAT(expand_braces("a},{b,c}"), ElementsAre("a},b", "a},c"));
  EXPECT_THAT(expand_braces("a\\{b,c}{d\\,e,f}"), ElementsAre("a\\{b,c}d\\,e", "a\\{b,c}f"));
  EXPECT_THAT(expand_braces("a\\"), ElementsAre("a\\"));
  EXPECT_THAT(expand_braces("{{a,b}"), ElementsAre("{a", "{b"));
  EXPECT_THAT(expand_braces(std::string(1'000'000, '{')), ElementsAre(std::string(1'000'000, '{')));
}

TEST(ExpandBraces, StopsAtFourThousandAndNinetySixNames) {
  EXPECT_EQ(expand_braces(repeated("{a,b}", 12)).size(), kMostNames);
  for (const std::string& pattern : {repeated("{a,b}", 13), repeated("{a,b}", 2000), "{" + repeated("a,", 4096) + "}",
                                     "{" + repeated("{a,b}", 12) + ",c}"}) {
    EXPECT_THAT([&] { expand_braces(pattern); }, ThrowsMessage<DataError>(HasSubstr("at most 4096 names, got more")));
  }
}

TEST(ExpandBraces, StopsAtADepthOfThirtyTwo) {
  const auto nested = [](int depth) { return repeated("{a,", depth) + "b" + repeated("}", depth); };
  EXPECT_EQ(expand_braces(nested(32)).size(), 33U);
  for (const int depth : {33, 2000, 100'000}) {
    EXPECT_THAT([&] { expand_braces(nested(depth)); },
                ThrowsMessage<DataError>(HasSubstr("at most 32 braces within each other")));
  }
}

}  // namespace
}  // namespace retape::data
