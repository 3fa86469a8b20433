#include "nn/kernels/embedding.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/random_values.h"
#include "tests/unit/nn/kernels/run_kernel.h"

namespace retape::nn {
namespace {

using testing::is_close;
using testing::random_values;
using testing::same_bits;
using testing::to_double;
using testing::to_doubles;
using testing::tolerance;

constexpr std::int64_t kBatch = 3;
constexpr std::int64_t kSeqLen = 11;
constexpr std::int64_t kPositions = 13;  // more than are used
constexpr std::int64_t kVocab = 7;       // so few that tokens repeat

template <class T>
struct Case {
  explicit Case(std::int64_t channel_count)
      : channels(channel_count),
        tokens(testing::random_indices(kBatch * kSeqLen, 1, kVocab)),
        token_table(random_values<T>(kVocab * channels, 2)),
        position_table(random_values<T>(kPositions * channels, 3)),
        dout(random_values<T>(kBatch * kSeqLen * channels, 4)),
        out(dout.size()),
        dtoken_table(random_values<float>(kVocab * channels, 5)),
        dposition_table(random_values<float>(kPositions * channels, 6)) {}

  EmbeddingForward forward() {
    return {.tokens = tokens.data(),
            .token_table = token_table.data(),
            .position_table = position_table.data(),
            .out = out.data(),
            .batch = kBatch,
            .seq_len = kSeqLen,
            .channels = channels,
            .dtype = kDTypeOf<T>};
  }

  EmbeddingBackward backward() {
    return {.tokens = tokens.data(),
            .dout = dout.data(),
            .dtoken_table = dtoken_table.data(),
            .dposition_table = dposition_table.data(),
            .batch = kBatch,
            .seq_len = kSeqLen,
            .channels = channels,
            .dtype = kDTypeOf<T>};
  }

  // Calls f(element of the rows, element of the token table, element of the position table).
  template <class F>
  void for_each_element(F f) const {
    for (std::size_t row = 0; row < tokens.size(); ++row) {
      const auto width = static_cast<std::size_t>(channels);
      for (std::size_t c = 0; c < width; ++c) {
        f(row * width + c, static_cast<std::size_t>(tokens[row]) * width + c, row % kSeqLen * width + c);
      }
    }
  }

  std::int64_t channels;
  std::vector<std::int32_t> tokens;
  std::vector<T> token_table, position_table, dout, out;
  std::vector<float> dtoken_table, dposition_table;
};

template <class T>
class EmbeddingKernel : public ::testing::Test {};
TYPED_TEST_SUITE(EmbeddingKernel, KernelTypes);

TYPED_TEST(EmbeddingKernel, ForwardIsTheReference) {
  for (const std::int64_t channels : {1, 5, 97, 384}) {
    Case<TypeParam> c(channels);
    std::vector<double> expected(c.out.size());
    c.for_each_element([&](std::size_t i, std::size_t token, std::size_t position) {
      expected[i] = to_double(c.token_table[token]) + to_double(c.position_table[position]);
    });
    run_kernel(c.forward());
    EXPECT_TRUE(is_close(c.out, expected, tolerance<TypeParam>({1e-7, 0})));
  }
}

TYPED_TEST(EmbeddingKernel, BackwardAddsToBothTables) {
  for (const std::int64_t channels : {1, 5, 97, 384}) {
    Case<TypeParam> c(channels);
    std::vector<double> dtoken_table = to_doubles(c.dtoken_table);
    std::vector<double> dposition_table = to_doubles(c.dposition_table);
    c.for_each_element([&](std::size_t i, std::size_t token, std::size_t position) {
      dtoken_table[token] += to_double(c.dout[i]);
      dposition_table[position] += to_double(c.dout[i]);
    });
    run_kernel(c.backward());
    EXPECT_TRUE(is_close(c.dtoken_table, dtoken_table, {1e-6, 1e-6}));
    EXPECT_TRUE(is_close(c.dposition_table, dposition_table, {1e-6, 1e-6}));
  }
}

TYPED_TEST(EmbeddingKernel, EitherTableMayBeUnwanted) {
  Case<TypeParam> both(97);
  Case<TypeParam> one = both;
  const Case<TypeParam> before = both;
  run_kernel(both.backward());
  EmbeddingBackward kernel = one.backward();
  kernel.dposition_table = nullptr;
  run_kernel(kernel);
  EXPECT_TRUE(same_bits(one.dtoken_table, both.dtoken_table));
  EXPECT_TRUE(same_bits(one.dposition_table, before.dposition_table));
  kernel = one.backward();
  kernel.dtoken_table = nullptr;
  run_kernel(kernel);
  EXPECT_TRUE(same_bits(one.dtoken_table, both.dtoken_table));
  EXPECT_TRUE(same_bits(one.dposition_table, both.dposition_table));
}

TYPED_TEST(EmbeddingKernel, BitsDoNotDependOnThreads) {
  for (const std::int64_t channels : {5, 97}) {
    Case<TypeParam> one(channels);
    run_kernel(one.forward(), 1);
    run_kernel(one.backward(), 1);
    for (const int threads : {1, 2, 3}) {
      Case<TypeParam> c(channels);
      run_kernel(c.forward(), threads);
      run_kernel(c.backward(), threads);
      EXPECT_TRUE(same_bits(c.out, one.out));
      EXPECT_TRUE(same_bits(c.dtoken_table, one.dtoken_table));
      EXPECT_TRUE(same_bits(c.dposition_table, one.dposition_table));
    }
  }
}

}  // namespace
}  // namespace retape::nn
