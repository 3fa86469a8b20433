// What is read takes memory in proportion to its text, whatever the text is.
#include <gmock/gmock.h>

#include <functional>

#include "data/files/json.h"
#include "nn/base/error.h"
#include "tests/support/heap_peak.h"

namespace retape::data {
namespace {

constexpr std::size_t kTextBytes = std::size_t{4} << 20;

std::string repeated(std::string_view begin, const std::function<std::string(std::size_t)>& part, std::string_view end,
                     std::size_t bytes = kTextBytes) {
  std::string text(begin);
  for (std::size_t i = 0; text.size() < bytes; ++i) {
    text += part(i);
  }
  return text.append(end);
}

// A key of few characters for each number.
std::string key(std::size_t i) {
  return fmt::format("\"{:x}\":", i);
}

std::vector<std::string> greedy_texts() {
  return {repeated(
              "[", [](std::size_t) { return "0,"; }, "0]"),
          repeated(
              "[", [](std::size_t) { return "[],"; }, "0]"),
          repeated(
              "[", [](std::size_t) { return "{},"; }, "0]", 2 * kTextBytes),
          repeated(
              "[", [](std::size_t) { return "\"\","; }, "0]"),
          repeated(
              "[", [](std::size_t) { return "[[[[[[[0]]]]]]],"; }, "0]"),
          repeated(
              "[", [](std::size_t) { return "\"sixteen letters!\","; }, "0]"),
          repeated(
              "{", [](std::size_t i) { return key(i) + "0,"; }, "\"\":0}"),
          repeated(
              "{", [](std::size_t i) { return key(i) + "[],"; }, "\"\":0}"),
          repeated(
              "{\"a\":{", [](std::size_t i) { return key(i) + "{},"; }, "\"\":0}}"),
          repeated(
              "{", [](std::size_t i) { return key(i) + "{\"a\":[0]},"; }, "\"\":0}"),
          repeated(
              "\"", [](std::size_t) { return "x"; }, "\""),
          repeated(
              "\"", [](std::size_t) { return "x"; }, ""),
          repeated(
              "[1", [](std::size_t) { return "0"; }, "]"),
          std::string(kTextBytes, '[')};
}

void expect_proportion(const std::string& text, const std::function<void()>& read) {
  const HeapPeak peak;
  try {
    read();
  } catch (const DataError&) {
  }
  EXPECT_LE(peak.bytes(), 16 * text.size() + (std::size_t{64} << 20)) << text.substr(0, 40);
}

TEST(JsonMemory, IsInProportionToTheText) {
  for (const std::string& text : greedy_texts()) {
    expect_proportion(text, [&] { parse_json(text, "a"); });
    expect_proportion(text, [&] { visit_json(text, "a", [](const std::string&, nlohmann::json) {}); });
    expect_proportion(text, [&] { parse_hjson(text, "a"); });
  }
}

TEST(JsonMemory, IsEnoughForWhatPeopleWrite) {
  std::string characters = "[";  // the largest vocabulary of a tokenizer
  for (int i = 0; i < 65536; ++i) {
    characters += fmt::format("\"\\u{:04x}\",", i % 0x8000);
  }
  characters.back() = ']';
  EXPECT_EQ(parse_json(characters, "a").size(), 65536U);
  const std::string long_text = '"' + std::string(kTextBytes, 'x') + '"';
  EXPECT_EQ(parse_json(long_text, "a").get<std::string>().size(), kTextBytes);
}

}  // namespace
}  // namespace retape::data
