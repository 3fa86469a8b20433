#include "data/fingerprint.h"

#include <gmock/gmock.h>

#include <numeric>

#include "data/dataset.h"
#include "nn/base/error.h"
#include "tests/support/temp_dir.h"

namespace retape::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::int64_t kBlock = 1_MiB / 2;  // tokens

FileFingerprint of(std::vector<Token> tokens, std::string name = "a") {
  return fingerprint(*tokens_in_memory(std::move(name), std::move(tokens)));
}

std::vector<Token> counting(std::size_t count) {
  std::vector<Token> tokens(count);
  std::iota(tokens.begin(), tokens.end(), Token{0});
  return tokens;
}

TEST(FileFingerprint, TellsWhatTheTokensAre) {
  const FileFingerprint first = of({1, 2, 3});
  EXPECT_EQ(first.name, "a");
  EXPECT_EQ(first.tokens, 3);
  EXPECT_EQ(of({1, 2, 3}), first);
  EXPECT_EQ(of({1, 2, 3}, "b").checksum, first.checksum);
  EXPECT_NE(of({1, 2, 4}).checksum, first.checksum);
  EXPECT_NE(of({1, 3, 2}).checksum, first.checksum);
}

// Runs keep it, so that another way to compute it would make a change of every data.
TEST(FileFingerprint, StaysWhatItIs) {
  EXPECT_EQ(of({1, 2, 3}).checksum, 7867364918501293443U);
  EXPECT_EQ(of(counting(kBlock + 5)).checksum, 5650776826781946613U);
}

TEST(FileFingerprint, SeesEveryTokenOfWhatIsWhole) {
  const std::vector<Token> tokens = counting(2 * kBlock + 7);
  const std::uint64_t before = of(tokens).checksum;
  for (const std::int64_t place : {std::int64_t{0}, kBlock - 1, kBlock, 2 * kBlock - 1, 2 * kBlock, 2 * kBlock + 6}) {
    std::vector<Token> changed = tokens;
    changed[static_cast<std::size_t>(place)] ^= 1;
    EXPECT_NE(of(changed).checksum, before) << place;
  }
}

// Counts what is asked for.
class WatchedSource final : public TokenSource {
 public:
  explicit WatchedSource(std::int64_t size) : TokenSource("big", size) {}

  void read(std::int64_t begin, std::span<Token> out) const override {
    EXPECT_GE(begin, 0);
    EXPECT_LE(begin + static_cast<std::int64_t>(out.size()), size());
    starts_.push_back(begin);
    tokens_ += static_cast<std::int64_t>(out.size());
    std::ranges::fill(out, Token{7});
  }

  const std::vector<std::int64_t>& starts() const { return starts_; }
  std::int64_t tokens_read() const { return tokens_; }

 private:
  mutable std::vector<std::int64_t> starts_;
  mutable std::int64_t tokens_ = 0;
};

TEST(FileFingerprint, IsOfAllUpToAGibibyte) {
  const WatchedSource whole(kMostWholeBytes / 2);
  fingerprint(whole);
  EXPECT_EQ(whole.tokens_read(), whole.size());
}

TEST(FileFingerprint, BeyondIsOfTheEndsAndOfBlocksBetween) {
  const WatchedSource big(10 * kMostWholeBytes / 2 + 3);
  EXPECT_EQ(fingerprint(big).tokens, big.size());
  const std::vector<std::int64_t>& starts = big.starts();
  ASSERT_EQ(starts.size(), 258U);
  EXPECT_EQ(big.tokens_read(), 258 * kBlock);
  EXPECT_EQ(starts.front(), 0);
  EXPECT_EQ(starts.back(), big.size() - kBlock);
  for (std::size_t i = 1; i < starts.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(starts[i] - starts[i - 1]), static_cast<double>(big.size()) / 257, kBlock);
  }
}

TEST(Fingerprint, SaysOnceWhereItIsNotOfAll) {
  const std::int64_t most = kMostWholeBytes / 2;
  EXPECT_THAT(describe_sampled({{{"a", most, 1}}, {{"b", most, 1}}}), IsEmpty());
  EXPECT_THAT(describe_sampled({{{"a", most, 1}, {"b", most + 1, 1}}, {}}),
              AllOf(testing::StartsWith("b: "), HasSubstr("more than 1.0 GiB"), HasSubstr("256 blocks")));
  EXPECT_THAT(describe_sampled({{{"a", most + 1, 1}, {"b", most + 1, 1}}, {{"c", most + 1, 1}}}),
              testing::StartsWith("a and 2 more: "));
}

TEST(Fingerprint, NamesTheFirstFileThatDiffersAndWhatDoes) {
  const Fingerprint saved{{{"a", 10, 1}, {"b", 20, 2}}, {{"v", 5, 3}}};
  EXPECT_THAT(difference(saved, saved), IsEmpty());
  const auto expect_difference = [&](const auto& change, const auto& line) {
    Fingerprint found = saved;
    change(found);
    EXPECT_THAT(difference(saved, found), line);
  };
  expect_difference([](Fingerprint& found) { found.train[1].tokens = 21; },
                    AllOf(HasSubstr("b: length: expected the 20 tokens that"), HasSubstr("found 21")));
  expect_difference([](Fingerprint& found) { found.train[0].checksum = 9; },
                    AllOf(HasSubstr("a: content: expected the 10 tokens that"), HasSubstr("found others")));
  expect_difference([](Fingerprint& found) { found.val[0].checksum = 9; }, HasSubstr("v: content"));
  expect_difference([](Fingerprint& found) { found.val[0].tokens = 4; }, HasSubstr("v: length"));
  expect_difference([](Fingerprint& found) { found.train.pop_back(); },
                    AllOf(HasSubstr("b: length: expected the 20 tokens"), HasSubstr("without it")));
  expect_difference(
      [](Fingerprint& found) {
        found.train.push_back({"c", 30, 4});
      },
      AllOf(HasSubstr("c: length"), HasSubstr("found 30 tokens more")));
  expect_difference(
      [](Fingerprint& found) {
        found.train[0] = {"c", 30, 4};
      },
      AllOf(HasSubstr("c: length: expected the 10 tokens of a that"), HasSubstr("found 30")));
  expect_difference([](Fingerprint& found) { std::swap(found.train[0], found.train[1]); }, HasSubstr("b: length"));
}

TEST(Fingerprint, LetsFilesBeMovedAndRenamed) {
  const Fingerprint saved{{{"a", 10, 1}, {"b", 20, 2}}, {{"v", 5, 3}}};
  const Fingerprint moved{{{"c/1", 10, 1}, {"c/2", 20, 2}}, {{"c/3", 5, 3}}};
  EXPECT_THAT(difference(saved, moved), IsEmpty());
}

// Whether there are files to validate on is a setting, and said as one.
TEST(Fingerprint, ComparesValidationFilesWhereBothHaveSome) {
  const Fingerprint with{{{"a", 10, 1}}, {{"v", 5, 3}}};
  const Fingerprint without{{{"a", 10, 1}}, {}};
  EXPECT_THAT(difference(with, without), IsEmpty());
  EXPECT_THAT(difference(without, with), IsEmpty());
}

TEST(Fingerprint, ComesBackFromJson) {
  const Fingerprint fingerprint{{{"a \"b\"", 10, 1}, {"b", 20, 0xFFFFFFFFFFFFFFFF}}, {{"v", 0, 3}}};
  EXPECT_EQ(fingerprint_from_json(to_json(fingerprint)), fingerprint);
  const Fingerprint latin{{{"caf\xE9", 10, 1}}, {}};
  EXPECT_EQ(fingerprint_from_json(to_json(latin)).train[0].name, "caf\uFFFD");
}

TEST(Fingerprint, RefusesOtherJson) {
  for (const char* text : {"3", "{", "{}", R"({"train": [], "val": 3})", R"({"train": [3], "val": []})",
                           R"({"train": [{"name": "a", "tokens": -1, "checksum": 1}], "val": []})",
                           R"({"train": [{"name": "a", "tokens": 1.5, "checksum": 1}], "val": []})",
                           R"({"train": [{"name": "a", "tokens": 18446744073709551615, "checksum": 1}], "val": []})",
                           R"({"train": [{"name": "a", "tokens": 1, "checksum": -1}], "val": []})",
                           R"({"train": [{"name": 7, "tokens": 1, "checksum": 1}], "val": []})"}) {
    EXPECT_THAT([&] { fingerprint_from_json(text); }, testing::ThrowsMessage<DataError>(HasSubstr("fingerprint")))
        << text;
  }
}

TEST(Fingerprint, IsOfTheFilesBeforeTheSplit) {
  const TempDir dir;
  const auto config = [&](double val_fraction) {
    return DatasetConfig{.train = {dir.write("a.bin", counting(100)).string()},
                         .val_fraction = val_fraction,
                         .vocab = 100,
                         .seq_len = 1,
                         .fingerprint = true};
  };
  const Fingerprint one = open_dataset(config(0.1)).fingerprint.value();
  ASSERT_EQ(one.train.size(), 1U);
  EXPECT_EQ(one.train[0].tokens, 100);
  EXPECT_THAT(one.val, IsEmpty());
  EXPECT_EQ(open_dataset(config(0.5)).fingerprint, one);

  DatasetConfig with_val = config(0);
  with_val.val = {dir.write("v.bin", counting(7)).string()};
  const Fingerprint two = open_dataset(with_val).fingerprint.value();
  EXPECT_EQ(two.train, one.train);
  ASSERT_EQ(two.val.size(), 1U);
  EXPECT_EQ(two.val[0].tokens, 7);

  with_val.fingerprint = false;
  EXPECT_FALSE(open_dataset(with_val).fingerprint.has_value());
}

}  // namespace
}  // namespace retape::data
