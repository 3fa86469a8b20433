#include "data/tokenizer.h"

#include <gmock/gmock.h>

#include "data/utf8.h"
#include "nn/base/error.h"
#include "tests/support/temp_dir.h"

namespace retape::data {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

std::shared_ptr<const Tokenizer> char_tokenizer(std::string_view text) {
  return make_char_tokenizer(std::vector{NamedText{"corpus.txt", text}});
}

std::string round_trip(const Tokenizer& tokenizer, std::string_view text) {
  const std::vector<Token> tokens = tokenizer.encode(text);
  return tokenizer.decode(std::vector<std::int32_t>(tokens.begin(), tokens.end()));
}

std::string all_bytes() {
  std::string text;
  for (int byte = 0; byte < 256; ++byte) {
    text += static_cast<char>(byte);
  }
  return text;
}

TEST(ByteTokenizer, TheIdIsTheByte) {
  const auto tokenizer = make_byte_tokenizer();
  EXPECT_EQ(tokenizer->vocab_size(), 256);
  EXPECT_THAT(tokenizer->encode("A\xFF\n"), ElementsAre(65, 255, 10));
  EXPECT_EQ(round_trip(*tokenizer, all_bytes()), all_bytes());
}

TEST(CharTokenizer, TheVocabularyIsTheSortedCharactersOfAllTexts) {
  const auto tokenizer = make_char_tokenizer(std::vector{NamedText{"a", "ba\u20AC"}, NamedText{"b", "a\u00E9\n"}});
  EXPECT_EQ(tokenizer->vocab_size(), 5);
  EXPECT_THAT(tokenizer->encode("\nab\u00E9\u20AC"), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(round_trip(*tokenizer, "b\u20ACa\u00E9"), "b\u20ACa\u00E9");
}

TEST(CharTokenizer, NamesACharacterThatIsNotInTheVocabulary) {
  const auto tokenizer = char_tokenizer("abc");
  EXPECT_THAT(
      [&] {
        tokenizer->encode(NamedText{"prompt", "ab\u00E9"});
      },
      ThrowsMessage<DataError>(AllOf(HasSubstr("prompt"), HasSubstr("'\u00E9' (U+00E9) at byte 2"))));
  EXPECT_THAT([&] { tokenizer->encode("B"); }, ThrowsMessage<DataError>(HasSubstr("'B' (U+0042)")));
}

TEST(CharTokenizer, NamesTheByteOfInvalidUtf8) {
  EXPECT_THAT([] { char_tokenizer("ab\u00E9\xFFz"); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("corpus.txt"), HasSubstr("byte 4 (0xFF)"))));
  EXPECT_THAT([] { char_tokenizer("abc")->encode("ab\xE2\x82"); }, ThrowsMessage<DataError>(HasSubstr("byte 2")));
}

TEST(CharTokenizer, NeedsACharacterAndFitsTwoBytes) {
  EXPECT_THROW(char_tokenizer(""), DataError);
  std::string text;
  for (char32_t value = 0x10000; value < 0x20000; ++value) {
    append_utf8(text, value);
  }
  EXPECT_EQ(char_tokenizer(text)->vocab_size(), kMaxVocab);
  EXPECT_EQ(char_tokenizer(text)->encode("\U0001FFFF").front(), 65535);
  append_utf8(text, 0x20000);
  EXPECT_THAT([&] { char_tokenizer(text); }, ThrowsMessage<DataError>(HasSubstr("got 65537")));
}

TEST(Tokenizer, RefusesToDecodeAnIdOutsideTheVocabulary) {
  for (const auto& tokenizer : {make_byte_tokenizer(), char_tokenizer("abc")}) {
    const auto beyond = static_cast<std::int32_t>(tokenizer->vocab_size());
    EXPECT_THROW(tokenizer->decode(std::vector{beyond}), DataError);
    EXPECT_THROW(tokenizer->decode(std::vector{-1}), DataError);
  }
}

TEST(Tokenizer, IsKeptAsJson) {
  const std::string text = "\"quoted\\\" \n\t\x01 \u00E9\u20AC\U0001F600";
  const auto characters = load_tokenizer(char_tokenizer(text)->to_json(), "run");
  EXPECT_EQ(characters->vocab_size(), char_tokenizer(text)->vocab_size());
  EXPECT_EQ(characters->encode(text), char_tokenizer(text)->encode(text));
  EXPECT_EQ(round_trip(*characters, text), text);
  EXPECT_EQ(load_tokenizer(make_byte_tokenizer()->to_json(), "run")->vocab_size(), 256);
}

TEST(Tokenizer, KeepsANulCharacter) {
  const std::string_view text("a\0b", 3);
  EXPECT_EQ(round_trip(*load_tokenizer(char_tokenizer(text)->to_json(), "run"), text), text);
}

TEST(Tokenizer, RefusesJsonThatIsNoTokenizer) {
  const auto with_vocabulary = [](std::string_view vocabulary) {
    return fmt::format(R"({{"retape_tokenizer":1,"type":"char","vocabulary":{}}})", vocabulary);
  };
  EXPECT_EQ(load_tokenizer(with_vocabulary(R"(["a","b"])"), "run")->vocab_size(), 2);
  for (const std::string& json :
       {std::string(), std::string("{"), std::string("[]"), std::string("{}"),
        std::string("{\"retape_tokenizer\":1,\"type\":\"byte\""),
        std::string(R"({"retape_tokenizer":2,"type":"byte"})"), std::string(R"({"retape_tokenizer":1,"type":"bpe"})"),
        std::string(R"({"retape_tokenizer":1,"type":3})"), std::string(R"({"retape_tokenizer":1,"type":"char"})"),
        with_vocabulary("[]"), with_vocabulary("{}"), with_vocabulary("[1]"), with_vocabulary(R"([""])"),
        with_vocabulary(R"(["ab"])"), with_vocabulary(R"(["a","a"])"), with_vocabulary(R"(["b","a"])"),
        with_vocabulary("[\"\xFF\"]")}) {
    EXPECT_THAT([&] { load_tokenizer(json, "run/tokenizer.json"); },
                ThrowsMessage<DataError>(HasSubstr("run/tokenizer.json")))
        << json;
  }
}

// The characters of files are collected block by block.
TEST(CharTokenizer, IsThatOfTheWholeTextWhereverItsBlocksEnd) {
  const TempDir dir;
  constexpr std::size_t kBlock = 1 << 20;
  for (const std::string character : {"\u00E9", "\u20AC", "\U0001F600"}) {
    for (std::size_t shift = 0; shift <= character.size(); ++shift) {
      const std::string text = std::string(kBlock - shift, 'a') + character + "b";
      const InputFiles files = open_files(std::vector{dir.write("1", text), dir.write("2", "cd")});
      EXPECT_EQ(make_char_tokenizer(files)->to_json(), char_tokenizer(text + "cd")->to_json()) << shift;
    }
  }
}

TEST(CharTokenizer, NamesTheByteOfTheFileThatIsNoText) {
  const TempDir dir;
  constexpr std::size_t kBlock = 1 << 20;
  // Alone, cut off by the end, and more bytes than a character has.
  for (const std::string bytes : {"\xFF"
                                  "b",
                                  "\xE2\x82", "\x80\x80\x80\x80\x80"}) {
    for (const std::size_t before : {std::size_t{5}, kBlock - 1, kBlock, kBlock + 1}) {
      const auto path = dir.write("text", std::string(before, 'a') + bytes);
      EXPECT_THAT([&] { make_char_tokenizer(open_files(std::vector{path})); },
                  ThrowsMessage<DataError>(
                      HasSubstr(path.string() + ": invalid UTF-8 at byte " + std::to_string(before) + " ")));
    }
  }
}

TEST(Tokenizer, CountsTheTokensOfAFile) {
  const TempDir dir;
  constexpr std::size_t kBlock = 1 << 20;
  for (const std::size_t before : {std::size_t{0}, kBlock - 2, kBlock - 1, kBlock, 2 * kBlock - 1}) {
    const std::string text = std::string(before, 'a') + "\xF0\x9F\x98\x80\xC3\xA9!";
    const InputFiles files = open_files(std::vector{dir.write("text", text)});
    for (const auto& tokenizer : {make_byte_tokenizer(), make_char_tokenizer(files)}) {
      EXPECT_EQ(static_cast<std::size_t>(tokenizer->count(*files.front())), tokenizer->encode(text).size()) << before;
    }
  }
}

// As many characters as there may be, the longest ones, each on a line of its own: what the limit has to let through.
TEST(Tokenizer, OfTheLargestVocabularyIsRead) {
  const TempDir dir;
  std::string json = R"({"retape_tokenizer": 1, "type": "char", "vocabulary": [)";
  for (int i = 0; i < kMaxVocab; ++i) {
    const int above = 0x40000 + i;  // over 0x10000 it is cut into two surrogates of ten bits
    json += fmt::format("{}\n        \"\\ud{:03x}\\ud{:03x}\"", i > 0 ? "," : "", 0x800 + (above >> 10),
                        0xC00 + (above & 0x3FF));
  }
  const std::string path = dir.write("t.json", json + "\n]}\n").string();
  EXPECT_EQ(make_tokenizer(path, {})->vocab_size(), kMaxVocab);
}

TEST(Tokenizer, IsRefusedBySizeBeforeItIsRead) {
  const TempDir dir;
  const std::string path = dir.write("t.json", "[").string();
  std::filesystem::resize_file(path, 60'000'000);
  EXPECT_THAT([&] { make_tokenizer(path, {}); },
              ThrowsMessage<DataError>(HasSubstr("expected a file of at most 2097152 bytes, got 60000000")));
}

TEST(Tokenizer, IsChosenBySetting) {
  const TempDir dir;
  const InputFiles files = open_files(std::vector{dir.write("corpus", "hello")});
  EXPECT_EQ(make_tokenizer("byte", files)->vocab_size(), 256);
  EXPECT_EQ(make_tokenizer("char", files)->vocab_size(), 4);
  const auto path = dir.write("t.json", char_tokenizer("xyz")->to_json());
  EXPECT_EQ(make_tokenizer(path.string(), files)->vocab_size(), 3);
  EXPECT_THROW(make_tokenizer((dir / "missing.json").string(), files), DataError);
  EXPECT_THAT([&] { make_tokenizer("bpe", files); }, ThrowsMessage<ConfigError>(HasSubstr("\"bpe\"")));
}

}  // namespace
}  // namespace retape::data
