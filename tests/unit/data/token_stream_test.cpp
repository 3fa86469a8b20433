#include "data/token_stream.h"

#include <gmock/gmock.h>

#include <numeric>

#include "nn/base/error.h"

namespace retape::data {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

// 0 .. 9 in parts of 4, 0, 1 and 5.
TokenStream ten(std::int64_t vocab = kMaxVocab) {
  return TokenStream({tokens_in_memory("a", {0, 1, 2, 3}), tokens_in_memory("b", {}), tokens_in_memory("c", {4}),
                      tokens_in_memory("d", {5, 6, 7, 8, 9})},
                     vocab);
}

std::vector<std::int32_t> copy(const TokenStream& tokens, std::int64_t begin, std::size_t count) {
  std::vector<std::int32_t> out(count, -1);
  tokens.copy(begin, out);
  return out;
}

TEST(TokenStream, IsOneSequenceOverItsParts) {
  const TokenStream tokens = ten();
  ASSERT_EQ(tokens.size(), 10);
  for (std::int64_t i = 0; i < tokens.size(); ++i) {
    EXPECT_EQ(tokens.token(i), i);
  }
  for (std::int64_t begin = 0; begin <= 10; ++begin) {
    for (std::int64_t count = 0; begin + count <= 10; ++count) {
      std::vector<std::int32_t> expected(static_cast<std::size_t>(count));
      std::iota(expected.begin(), expected.end(), static_cast<std::int32_t>(begin));
      EXPECT_EQ(copy(tokens, begin, expected.size()), expected);
    }
  }
}

TEST(TokenStream, SlicesShareAndKeepTheSources) {
  TokenStream slice;
  EXPECT_TRUE(slice.empty());
  {
    const TokenStream tokens = ten();
    slice = tokens.slice(3, 4).slice(0, 3);
  }
  ASSERT_EQ(slice.size(), 3);
  EXPECT_THAT(copy(slice, 0, 3), ElementsAre(3, 4, 5));
  EXPECT_TRUE(ten().slice(10, 0).empty());
  EXPECT_EQ(ten().slice(0, 10).size(), 10);
}

TEST(TokenStream, RefusesRangesOutside) {
  const TokenStream tokens = ten();
  EXPECT_THROW(tokens.token(10), Error);
  EXPECT_THROW(tokens.token(-1), Error);
  EXPECT_THROW(copy(tokens, 8, 3), Error);
  EXPECT_THROW(tokens.slice(0, 11), Error);
  EXPECT_THROW(tokens.slice(-1, 2), Error);
  EXPECT_THROW(tokens.slice(2, -1), Error);
  EXPECT_THROW(TokenStream().token(0), Error);
  EXPECT_THROW(tokens.slice(1, std::numeric_limits<std::int64_t>::max()), Error);
}

TEST(TokenStream, ChecksEveryId) {
  EXPECT_NO_THROW(ten(10).check_ids());
  EXPECT_THAT([] { ten(8).check_ids(); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("d: token 3"), HasSubstr("size 8"), HasSubstr("got 8"))));
  std::vector<Token> many(700'000, 1);
  many[650'001] = 65535;
  const auto big = tokens_in_memory("big.bin", many);
  EXPECT_NO_THROW(TokenStream({big}, 65536).check_ids());
  EXPECT_THAT([&] { TokenStream({big}, 65535).check_ids(); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("big.bin: token 650001"), HasSubstr("got 65535"))));
}

// Where a message counts from is the start of the file, whichever slice of it the token is in.
TEST(TokenStream, ChecksIdsWhereTheyAreRead) {
  const TokenStream tokens = ten(8);
  EXPECT_THAT(copy(tokens, 2, 6), ElementsAre(2, 3, 4, 5, 6, 7));
  const auto refused =
      ThrowsMessage<DataError>(AllOf(HasSubstr("d: token 3"), HasSubstr("size 8"), HasSubstr("got 8")));
  EXPECT_THAT([&] { copy(tokens, 2, 7); }, refused);
  EXPECT_THAT([&] { copy(tokens.slice(6, 4).slice(1, 3), 0, 3); }, refused);
  EXPECT_THAT([&] { tokens.slice(6, 4).check_ids(); }, refused);
  EXPECT_NO_THROW(tokens.slice(0, 8).check_ids());
}

}  // namespace
}  // namespace retape::data
