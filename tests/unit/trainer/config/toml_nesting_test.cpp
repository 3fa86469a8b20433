#include "trainer/config/toml_nesting.h"

#include <gmock/gmock.h>

#include <string>

namespace retape::trainer {
namespace {

constexpr std::string_view kDeep = "a.b.c.d.e.f.g.h.i";  // nine names

std::size_t place_of_last_dot(const std::string& before) {
  return before.size() + kDeep.rfind('.');
}

TEST(TomlNesting, FindsKeysOfManyNames) {
  for (const std::string before : {"", "[", "[[", "x = {", "x = 1\n", "x = [{a=1},{", "x = \"\"\"a\"\"\"\"\"\n",
                                   "x = {a=\"\"\"b\"\"\"\", ", "x = '''\\'''\n", "x = \"\\\"\" # \"\n"}) {
    EXPECT_EQ(find_deep_key(before + std::string(kDeep) + " = 1"), place_of_last_dot(before)) << before;
  }
  EXPECT_EQ(find_deep_key("a . 'b.c' . \"d.e\\\".f\".c.d.e.f.g.h = 1"), 31U);
}

TEST(TomlNesting, PassesOverOtherDots) {
  const std::string deep(kDeep);
  for (const std::string& text : {std::string("a.b.c.d.e.f.g.h = 1"), "x = \"" + deep + "\"", "x = '" + deep + "'",
                                  "# " + deep, "x = \"\"\"\n" + deep + "\"\"\"", "x = '''\n" + deep + "\n'''",
                                  std::string("x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]"),
                                  "x = \"\\\\\" # " + deep, "x = \"" + deep, "x = \"\"\"" + deep}) {
    EXPECT_EQ(find_deep_key(text), std::string_view::npos) << text;
  }
}

}  // namespace
}  // namespace retape::trainer
