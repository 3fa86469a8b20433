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

TokenStream::Part part(std::string name, std::vector<Token> tokens) {
  auto owner = std::make_shared<const std::vector<Token>>(std::move(tokens));
  return {std::move(name), *owner, owner};
}

// 0 .. 9 in parts of 4, 0, 1 and 5.
TokenStream ten() {
  return TokenStream({part("a", {0, 1, 2, 3}), part("b", {}), part("c", {4}), part("d", {5, 6, 7, 8, 9})});
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

TEST(TokenStream, SlicesShareAndKeepTheMemory) {
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
  EXPECT_NO_THROW(ten().check_ids(10));
  EXPECT_THAT([] { ten().check_ids(8); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("d: token 3"), HasSubstr("size 8"), HasSubstr("got 8"))));
  std::vector<Token> many(200'000, 1);
  many[150'001] = 65535;
  const TokenStream tokens("big.bin", many);
  EXPECT_NO_THROW(tokens.check_ids(65536));
  EXPECT_THAT([&] { tokens.check_ids(65535); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("big.bin: token 150001"), HasSubstr("got 65535"))));
}

}  // namespace
}  // namespace retape::data
