#include <gmock/gmock.h>

#include "data/files/json.h"
#include "nn/base/error.h"

namespace retape::data {
namespace {

using nlohmann::json;

json read(std::string_view text) {
  return parse_hjson(text, "ds.json");
}

// The message of the DataError; "" where there is none.
std::string refusal(std::string_view text) {
  try {
    read(text);
  } catch (const DataError& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  }
  return "";
}

TEST(Hjson, ReadsJson) {
  for (const std::string_view text :
       {"{}", "[]", R"({"a": [1, -2.5e3, {"b": null, "c": []}, "x\n\u00e9\\\"/\/"], "d": {"e": {}, "a": true}})",
        "[18446744073709551615, -9223372036854775808, 0, -0.0, false]", "\xEF\xBB\xBF{\"a\":1}"}) {
    EXPECT_EQ(read(text), json::parse(text)) << text;
  }
}

TEST(Hjson, PassesCommentsOver) {
  EXPECT_EQ(read("# first\n{ // second\n \"a\" /* third */ : /* * / */ 1 # fourth\n , \"b\": 2// fifth\n} // last"),
            (json{{"a", 1}, {"b", 2}}));
  EXPECT_EQ(read("{\"a\": \"# // /* no comments */\"}"), (json{{"a", "# // /* no comments */"}}));
}

TEST(Hjson, TakesKeysWithoutQuotesAndLaxCommas) {
  EXPECT_EQ(read("{a: 1, b_c-d: [1, 2,], 'e': {},\n}"), (json{{"a", 1}, {"b_c-d", {1, 2}}, {"e", json::object()}}));
  EXPECT_EQ(read("{a: 1\n b: true\r\n c: [1\n2\n]\n}"), (json{{"a", 1}, {"b", true}, {"c", {1, 2}}}));
  EXPECT_EQ(read("a: 1\nb: {c: null}"), (json{{"a", 1}, {"b", {{"c", nullptr}}}}));
  EXPECT_EQ(read(""), json::object());
}

TEST(Hjson, TakesStringsWithoutQuotesToTheEndOfTheLine) {
  EXPECT_EQ(read("{a: auto\nb: two words, and more } # \t\nc: 3 times\n d: trueish\n e: 01\n}"),
            (json{{"a", "auto"}, {"b", "two words, and more } #"}, {"c", "3 times"}, {"d", "trueish"}, {"e", "01"}}));
  EXPECT_EQ(read(R"({a: 'it\'s "so"\n', b: "it\'s"})"), (json{{"a", "it's \"so\"\n"}, {"b", "it's"}}));
}

// As hjson-py reads them.
TEST(Hjson, TakesStringsOfSeveralLines) {
  EXPECT_EQ(read("{a: '''x \\n\"y''', b: 1}"), (json{{"a", "x \\n\"y"}, {"b", 1}}));
  EXPECT_EQ(read("{\n  a:\n    '''\n    first\r\n      second\n\n  third\n    '''\n  b: 2\n}"),
            (json{{"a", "first\n  second\n\nthird"}, {"b", 2}}));
  EXPECT_EQ(read("a: ''''''\nb: '''  x\n      y'''"), (json{{"a", ""}, {"b", "x\n   y"}}));
}

TEST(Hjson, NamesThePlaceOfWhatItRefuses) {
  EXPECT_EQ(refusal("{\"a\": 1"), "ds.json:1:8: expected a key, got the end of the text");
  EXPECT_EQ(refusal("{\n a 1}"), "ds.json:2:4: expected \":\" after a key, got \"1}\"");
  EXPECT_EQ(refusal("{a: ,}"), "ds.json:1:5: expected a value, got \",}\"");
  EXPECT_EQ(refusal("{a: [1, 2}"), "ds.json:1:10: expected a value, got \"}\"");
  EXPECT_EQ(refusal("{,}"), "ds.json:1:2: expected a key, got \",}\"");
  EXPECT_EQ(refusal("{} {}"), "ds.json:1:4: expected the end of the text, got \"{}\"");
  EXPECT_EQ(refusal("{a: \"x\ny\"}"), "ds.json:1:5: expected \" at the end of this string, got none");
  EXPECT_EQ(refusal("{a: '''x''}"), "ds.json:1:5: expected ''' at the end of this string, got none");
  EXPECT_EQ(refusal("{a: '''\xff'''}"), "ds.json:1:5: expected UTF-8, got \"\\ufffd\"");
  EXPECT_EQ(refusal("{'''a''': 1}"), "ds.json:1:2: expected a string of one line, got one in '''");
  EXPECT_EQ(refusal("{a: \"\\q\"}"),
            "ds.json:1:5: expected a string in UTF-8 with JSON's escapes, got \"\\\"\\\\q\\\"\"");
  EXPECT_EQ(refusal("{a: \"\\"), "ds.json:1:5: expected \" at the end of this string, got none");
  EXPECT_EQ(refusal("{ /* a: 1}"), "ds.json:1:3: expected \"*/\" at the end of this comment, got none");
  EXPECT_EQ(refusal("{a: \xff\n}"), "ds.json:1:5: expected UTF-8, got \"\\ufffd\"");
  EXPECT_EQ(refusal("{\xff: 1}"), "ds.json:1:2: expected UTF-8, got \"\\ufffd\"");
}

TEST(Hjson, StopsWhereJsonDoes) {
  EXPECT_EQ(refusal("{a: 1\n'a': 2}"), "ds.json:2:1: \"a\" is there twice");
  EXPECT_EQ(refusal("{a: 1e999}"), "ds.json:1:5: expected a number that a double or 64 bits can hold, got \"1e999\"");
  EXPECT_EQ(refusal("[18446744073709551616]"),
            "ds.json:1:2: expected a number that a double or 64 bits can hold, got \"18446744073709551616\"");
  EXPECT_EQ(refusal(std::string(1'000'000, '[')),
            "ds.json:1:129: expected at most 128 levels of arrays and objects, got more");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) {
    objects += "{a:";
  }
  EXPECT_EQ(refusal(objects), "ds.json:1:385: expected at most 128 levels of arrays and objects, got more");
}

}  // namespace
}  // namespace retape::data
