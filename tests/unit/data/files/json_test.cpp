#include "data/files/json.h"

#include <gmock/gmock.h>

#include <limits>

#include "nn/base/error.h"

namespace retape::data {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::Pair;

// The message of the DataError; "" where there is none.
std::string refusal(std::string_view text) {
  try {
    parse_json(text, "a.json");
  } catch (const DataError& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  }
  return "";
}

std::string nested(std::size_t depth, std::string_view open, std::string_view inner, std::string_view close) {
  std::string text;
  for (std::size_t i = 0; i < depth; ++i) {
    text += open;
  }
  text += inner;
  for (std::size_t i = 0; i < depth; ++i) {
    text += close;
  }
  return text;
}

TEST(Json, ReadsWhatTheLibraryReads) {
  for (const std::string_view text :
       {"null", " true ", "-0.5e-3", "18446744073709551615", "-9223372036854775808", "1e-999", "\"\\u00e9\\n\"", "[]",
        "{}", R"({"a": [1, {"b": null, "c": []}, "x"], "d": {"e": {}, "a": 2}, "": 3})", "\xEF\xBB\xBF[1]"}) {
    EXPECT_EQ(parse_json(text, "a"), json::parse(text)) << text;
  }
}

TEST(Json, NamesThePlaceOfWhatIsNotJson) {
  EXPECT_EQ(refusal(""), "a.json:1:1: expected JSON, got the end of the text");
  EXPECT_EQ(refusal("{\n  \"a\": flase\n}"), "a.json:2:9: expected JSON, got \"lase\"");
  EXPECT_EQ(refusal("[1, 2,]"), "a.json:1:7: expected JSON, got \"]\"");
  EXPECT_EQ(refusal("[1 2]"), "a.json:1:4: expected JSON, got \"2]\"");
  EXPECT_EQ(refusal("{} {}"), "a.json:1:4: expected JSON, got \"{}\"");
  EXPECT_EQ(refusal("{\"a\": \"\u00e9\", b}"), "a.json:1:12: expected JSON, got \"b}\"");
  EXPECT_EQ(refusal("[\"\xff\"]"), "a.json:1:3: expected JSON, got \"\\ufffd\\\"]\"");
  EXPECT_EQ(refusal("{\"a\": 1"), "a.json:1:8: expected JSON, got the end of the text");
  EXPECT_EQ(refusal("[\"a"), "a.json:1:4: expected JSON, got the end of the text");
  EXPECT_LT(refusal('"' + std::string(100'000, 'x')).size(), 200U);
}

TEST(Json, StopsAtADepth) {
  EXPECT_EQ(refusal(nested(kMaxJsonDepth, "[", "", "]")), "");
  EXPECT_EQ(refusal(nested(kMaxJsonDepth, "{\"a\":", "1", "}")), "");
  const std::string message = ": expected at most 128 levels of arrays and objects, got more";
  EXPECT_EQ(refusal(nested(kMaxJsonDepth + 1, "[", "", "]")), "a.json:1:129" + message);
  EXPECT_EQ(refusal(std::string(1'000'000, '[')), "a.json:1:129" + message);
  EXPECT_EQ(refusal(nested(100'000, "{\"a\":\n", "1", "}")), "a.json:129:1" + message);
}

TEST(Json, TakesAKeyOnce) {
  EXPECT_EQ(refusal("{\"a\": 1,\n  \"b\": 2,\n  \"a\": 3}"), "a.json:3:3: \"a\" is there twice");
  EXPECT_EQ(refusal(R"([{"a": {"b\"": 1, "b\"": 1}}])"), R"(a.json:1:19: "b\"" is there twice)");
  EXPECT_EQ(refusal(R"({"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}]})"), "");
}

TEST(Json, RefusesNumbersThatItCannotHold) {
  const std::string expected = "expected a number that a double or 64 bits can hold, got ";
  EXPECT_EQ(refusal("{\"a\": [1,\n 1e999]}"), "a.json:2:2: " + expected + "\"1e999\"");
  EXPECT_EQ(refusal("-1e999"), "a.json:1:1: " + expected + "\"-1e999\"");
  EXPECT_EQ(refusal("[18446744073709551616]"), "a.json:1:2: " + expected + "\"18446744073709551616\"");
  EXPECT_EQ(refusal("[-9223372036854775809]"), "a.json:1:2: " + expected + "\"-9223372036854775809\"");
  EXPECT_EQ(parse_json("18446744073709551616.0", "a"), 18446744073709551616.0);
}

TEST(Json, VisitsTheMembersOfAnObject) {
  std::vector<std::pair<std::string, json>> members;
  visit_json(R"({"b": {"x": [1, 2]}, "a": 3, "c": [[]]})", "a.json",
             [&](const std::string& key, json value) { members.emplace_back(key, std::move(value)); });
  EXPECT_THAT(members, ElementsAre(Pair("b", json{{"x", {1, 2}}}), Pair("a", 3), Pair("c", json::parse("[[]]"))));
  const auto visit = [](const std::string&, const json&) {};
  EXPECT_THAT([&] { visit_json("[1]", "a.json", visit); },
              testing::ThrowsMessage<DataError>("a.json:1:1: expected a JSON object, got an array of 0"));
  EXPECT_THAT([&] { visit_json(R"({"a": {"b": 1}, "a": {"b": 1}})", "a.json", visit); },
              testing::ThrowsMessage<DataError>("a.json:1:17: \"a\" is there twice"));
}

TEST(Json, ConvertsNoIntegers) {
  constexpr auto kMin = std::numeric_limits<std::int64_t>::min();
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(integer_of(json::parse("-9223372036854775808"), "n", kMin, kMax), kMin);
  EXPECT_EQ(integer_of(json::parse("9223372036854775807"), "n", kMin, kMax), kMax);
  for (const char* text : {"1.0", "true", "null", "\"1\"", "[1]", "9223372036854775808", "18446744073709551615"}) {
    EXPECT_THROW(integer_of(json::parse(text), "n", kMin, kMax), DataError) << text;
  }
  EXPECT_EQ(integer_of(7, "n", 7, 7), 7);
  EXPECT_THAT([] { integer_of(1.5, "n", 0, 9); },
              testing::ThrowsMessage<DataError>("n: expected an integer from 0 to 9, got 1.5"));
  EXPECT_THROW(integer_of(-1, "n", 0, 9), DataError);
  EXPECT_THROW(integer_of(10, "n", 0, 9), DataError);
}

TEST(Json, ShowsValuesInALine) {
  EXPECT_EQ(shown(json::parse(R"("two\nlines")")), R"("two\nlines")");
  EXPECT_EQ(shown(json::parse("[1, 2]")), "an array of 2");
  EXPECT_EQ(shown(json::parse(R"({"a": 1})")), "an object of 1");
  EXPECT_EQ(shown(1.5), "1.5");
  EXPECT_EQ(in_quotes(std::string(100, 'x')), '"' + std::string(80, 'x') + "\"...");
}

}  // namespace
}  // namespace retape::data
