#include "data/dataset.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>

#include "nn/base/error.h"
#include "tests/support/temp_dir.h"

namespace retape::data {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

std::vector<std::int32_t> all(const TokenStream& tokens) {
  std::vector<std::int32_t> out(static_cast<std::size_t>(tokens.size()));
  tokens.copy(0, out);
  return out;
}

std::vector<Token> counting(std::size_t count) {
  std::vector<Token> tokens(count);
  std::iota(tokens.begin(), tokens.end(), Token{0});
  return tokens;
}

class DatasetTest : public testing::Test {
 protected:
  DatasetConfig config(std::string_view train) const {
    DatasetConfig config;
    config.train = {(dir_ / train).string()};
    config.seq_len = 1;
    return config;
  }

  TempDir dir_;
};

TEST(TrainTokens, AreThoseOfNanoGpt) {
  EXPECT_EQ(train_tokens(1'115'394, 0.1), 1'003'854);
  EXPECT_EQ(1'115'394 - train_tokens(1'115'394, 0.1), 111'540);
  EXPECT_EQ(train_tokens(10, 0.1), 9);
  EXPECT_EQ(train_tokens(9, 0.5), 4);
  EXPECT_EQ(train_tokens(7, 0), 7);
}

TEST_F(DatasetTest, SplitsTheEndOff) {
  dir_.write("a.bin", counting(20));
  auto setting = config("a.bin");
  setting.vocab = 20;
  const Dataset data = open_dataset(setting);
  EXPECT_EQ(data.train.size(), 18);
  EXPECT_THAT(all(data.val), ElementsAre(18, 19));
  EXPECT_EQ(data.vocab, 20);
  EXPECT_EQ(data.tokenizer, nullptr);

  setting.val_fraction = 0;
  EXPECT_EQ(open_dataset(setting).train.size(), 20);
  EXPECT_TRUE(open_dataset(setting).val.empty());
}

TEST_F(DatasetTest, TakesAValidationFileWhole) {
  dir_.write("train.bin", counting(10));
  dir_.write("val.bin", counting(3));
  auto setting = config("train.bin");
  setting.val = {(dir_ / "val.bin").string()};
  setting.vocab = 10;
  const Dataset data = open_dataset(setting);
  EXPECT_EQ(data.train.size(), 10);
  EXPECT_THAT(all(data.val), ElementsAre(0, 1, 2));
}

TEST_F(DatasetTest, ConcatenatesTheSortedMatches) {
  dir_.write("part_2.bin", std::vector<Token>{3, 4});
  dir_.write("part_1.bin", std::vector<Token>{1, 2});
  auto setting = config("part_*.bin");
  setting.val_fraction = 0;
  setting.vocab = 5;
  EXPECT_THAT(all(open_dataset(setting).train), ElementsAre(1, 2, 3, 4));
  setting.train = {(dir_ / "part_2.bin").string(), (dir_ / "part_?.bin").string()};
  EXPECT_THAT(all(open_dataset(setting).train), ElementsAre(3, 4, 1, 2, 3, 4));
}

TEST_F(DatasetTest, EncodesTextByByteAndByCharacter) {
  dir_.write("a.txt", "h\u00E9 ");
  dir_.write("b.txt", "eh!");
  auto setting = config("*.txt");
  setting.val_fraction = 0;
  const Dataset bytes = open_dataset(setting);
  EXPECT_EQ(bytes.vocab, 256);
  EXPECT_THAT(all(bytes.train), ElementsAre('h', 0xC3, 0xA9, ' ', 'e', 'h', '!'));

  setting.tokenizer = "char";
  const Dataset characters = open_dataset(setting);
  EXPECT_EQ(characters.vocab, 5);
  EXPECT_THAT(all(characters.train), ElementsAre(3, 4, 0, 2, 3, 1));

  setting.vocab = 64;
  EXPECT_EQ(open_dataset(setting).vocab, 64);
}

TEST_F(DatasetTest, TheCharactersOfTheSplitOffEndAreInTheVocabulary) {
  dir_.write("a.txt", "aaaaaaaaaaaaaaaaaaab");
  auto setting = config("a.txt");
  setting.tokenizer = "char";
  const Dataset data = open_dataset(setting);
  EXPECT_EQ(data.vocab, 2);
  EXPECT_THAT(all(data.val), ElementsAre(0, 1));
}

TEST_F(DatasetTest, AnUnknownCharacterOfTheValidationFileIsAnError) {
  dir_.write("train.txt", "abcabc");
  dir_.write("val.txt", "abz");
  auto setting = config("train.txt");
  setting.val = {(dir_ / "val.txt").string()};
  setting.tokenizer = "char";
  EXPECT_THAT([&] { open_dataset(setting); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("val.txt"), HasSubstr("'z' (U+007A) at byte 2"))));
}

TEST_F(DatasetTest, TheTokenizerOfAResumedRunIsKept) {
  dir_.write("a.txt", "bbbb");
  auto setting = config("a.txt");
  setting.tokenizer = "char";
  setting.val_fraction = 0;
  const auto saved = make_char_tokenizer(std::vector{NamedText{"before", "abc"}});
  const Dataset data = open_dataset(setting, saved);
  EXPECT_EQ(data.tokenizer, saved);
  EXPECT_EQ(data.vocab, 3);
  EXPECT_THAT(all(data.train), ElementsAre(1, 1, 1, 1));
}

TEST_F(DatasetTest, TokenFilesFindTheirTokenizer) {
  dir_.write("a.bin", std::vector<Token>{0, 1, 1, 0});
  auto setting = config("a.bin");
  setting.val_fraction = 0;
  EXPECT_THAT([&] { open_dataset(setting); }, ThrowsMessage<ConfigError>(HasSubstr("vocabulary size")));

  dir_.write("a.tokenizer.json", make_char_tokenizer(std::vector{NamedText{"", "xy"}})->to_json());
  EXPECT_EQ(open_dataset(setting).vocab, 2);
  EXPECT_EQ(open_dataset(setting).tokenizer->decode(std::vector{0, 1}), "xy");

  setting.tokenizer = dir_.write("other.json", make_byte_tokenizer()->to_json()).string();
  EXPECT_EQ(open_dataset(setting).vocab, 256);
}

TEST_F(DatasetTest, AllTokenFilesHaveTheSameTokenizer) {
  const std::string ours = make_char_tokenizer(std::vector{NamedText{"", "xy"}})->to_json();
  const std::string theirs = make_char_tokenizer(std::vector{NamedText{"", "yz"}})->to_json();
  for (const char* name : {"a", "b", "val"}) {
    dir_.write(std::string(name) + ".bin", std::vector<Token>{0, 1, 1, 0});
  }
  auto setting = config("?.bin");
  setting.val = {(dir_ / "val.bin").string()};
  dir_.write("b.tokenizer.json", ours);  // that of the first file that has one
  EXPECT_EQ(open_dataset(setting).tokenizer->to_json(), ours);
  dir_.write("a.tokenizer.json", ours);
  dir_.write("val.tokenizer.json", ours);
  EXPECT_EQ(open_dataset(setting).tokenizer->to_json(), ours);

  for (const std::string other : {"b.tokenizer.json", "val.tokenizer.json"}) {
    dir_.write(other, theirs);
    EXPECT_THAT([&] { open_dataset(setting); },
                ThrowsMessage<DataError>(AllOf(HasSubstr(other + ": expected the tokenizer of"),
                                               HasSubstr("a.tokenizer.json"), HasSubstr("got another one"))));
    dir_.write(other, ours);
  }
  EXPECT_THAT([&] { open_dataset(setting, make_byte_tokenizer()); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("a.tokenizer.json: expected the tokenizer of the resumed run"),
                                             HasSubstr("256 tokens"), HasSubstr("of 2"))));
}

TEST_F(DatasetTest, ATokenFileToValidateOnHasTheTokenizerOfTheText) {
  dir_.write("a.txt", "xyxy");
  dir_.write("val.bin", std::vector<Token>{0, 1, 1, 0});
  dir_.write("val.tokenizer.json", make_char_tokenizer(std::vector{NamedText{"", "yz"}})->to_json());
  auto setting = config("a.txt");
  setting.tokenizer = "char";
  setting.val = {(dir_ / "val.bin").string()};
  EXPECT_THAT([&] { open_dataset(setting); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("val.tokenizer.json"), HasSubstr("a.txt"))));
  dir_.write("val.tokenizer.json", make_char_tokenizer(std::vector{NamedText{"", "xy"}})->to_json());
  EXPECT_NO_THROW(open_dataset(setting));
}

TEST_F(DatasetTest, NamesAnIdThatIsNotBelowTheVocabulary) {
  dir_.write("a.bin", std::vector<Token>{1, 2, 3});
  dir_.write("b.bin", std::vector<Token>{4, 97, 98});
  auto setting = config("?.bin");
  setting.vocab = 97;
  EXPECT_THAT([&] { open_dataset(setting); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("b.bin: token 1"), HasSubstr("97, got 97"))));
  setting.train = {(dir_ / "a.bin").string()};
  setting.val = {(dir_ / "b.bin").string()};
  EXPECT_THAT([&] { open_dataset(setting); }, ThrowsMessage<DataError>(HasSubstr("b.bin: token 1")));
}

TEST_F(DatasetTest, SaysWhichPartIsTooShort) {
  dir_.write("a.bin", counting(20));
  auto setting = config("a.bin");
  setting.vocab = 20;
  setting.seq_len = 2;
  EXPECT_THAT([&] { open_dataset(setting); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("validation part (val_fraction 0.1)"),
                                             HasSubstr("at least 3 tokens"), HasSubstr("got 2"))));
  setting.val_fraction = 0;
  setting.seq_len = 19;
  EXPECT_NO_THROW(open_dataset(setting));
  setting.seq_len = 20;
  EXPECT_THAT([&] { open_dataset(setting); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("at least 21 tokens"), HasSubstr("got 20"))));
  setting.seq_len = 4;
  setting.val = {dir_.write("val.bin", counting(4)).string()};
  EXPECT_THAT([&] { open_dataset(setting); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("val.bin"), HasSubstr("got 4"))));
}

TEST_F(DatasetTest, RefusesFilesThatDoNotGoTogether) {
  dir_.write("a.bin", counting(4));
  dir_.write("b.txt", "text");
  auto setting = config("{a.bin,b.txt}");
  setting.vocab = 256;
  EXPECT_THAT([&] { open_dataset(setting); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("b.txt"), HasSubstr("expected u16"), HasSubstr("got text"))));
  setting.train = {(dir_ / "a.bin").string()};
  setting.val = {(dir_ / "b.txt").string()};
  EXPECT_THAT([&] { open_dataset(setting); }, ThrowsMessage<DataError>(HasSubstr("needs a tokenizer")));
}

TEST_F(DatasetTest, RefusesFilesThatAreMissingEmptyOrCut) {
  auto setting = config("none*.bin");
  setting.vocab = 8;
  EXPECT_THAT([&] { open_dataset(setting); }, ThrowsMessage<DataError>(HasSubstr("no file matches")));
  setting.train = {(dir_ / "none.bin").string()};
  EXPECT_THAT([&] { open_dataset(setting); }, ThrowsMessage<DataError>(HasSubstr("no such file")));
  setting.train = {dir_.write("empty.bin", "").string()};
  EXPECT_THAT([&] { open_dataset(setting); }, ThrowsMessage<DataError>(HasSubstr("empty")));
  setting.train = {dir_.write("odd.bin", "abcde").string()};
  EXPECT_THAT([&] { open_dataset(setting); }, ThrowsMessage<DataError>(HasSubstr("got 5 bytes")));
}

TEST_F(DatasetTest, RefusesSettingsOutOfRange) {
  dir_.write("a.txt", "some text");
  const auto expect_error = [&](auto change) {
    auto setting = config("a.txt");
    setting.val_fraction = 0;
    EXPECT_NO_THROW(open_dataset(setting));
    change(setting);
    EXPECT_THROW(open_dataset(setting), ConfigError);
  };
  expect_error([](DatasetConfig& c) { c.val_fraction = 1; });
  expect_error([](DatasetConfig& c) { c.val_fraction = -0.1; });
  expect_error([](DatasetConfig& c) { c.val_fraction = std::nan(""); });
  expect_error([](DatasetConfig& c) { c.seq_len = 0; });
  expect_error([](DatasetConfig& c) { c.vocab = 255; });
  expect_error([](DatasetConfig& c) { c.vocab = -1; });
  expect_error([](DatasetConfig& c) { c.train.clear(); });
  expect_error([](DatasetConfig& c) { c.tokenizer = "bpe"; });
}

}  // namespace
}  // namespace retape::data
