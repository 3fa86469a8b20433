#include "data/sampler.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

#include "nn/base/error.h"

namespace retape::data {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

// Token i is i, so a row tells where it starts.
TokenStream counting(std::size_t count) {
  std::vector<Token> tokens(count);
  std::iota(tokens.begin(), tokens.end(), Token{0});
  return {"counting", std::move(tokens)};
}

SamplerConfig config(Order order, std::int64_t batch_size, std::int64_t seq_len, RankSlice slice = {}) {
  return {.order = order, .seed = 1337, .batch_size = batch_size, .seq_len = seq_len, .slice = slice};
}

Batch next(Sampler& sampler) {
  Batch batch;
  sampler.next(batch);
  return batch;
}

std::vector<std::int32_t> starts(const Batch& batch) {
  std::vector<std::int32_t> out;
  for (std::int64_t row = 0; row < batch.rows; ++row) {
    out.push_back(batch.inputs[static_cast<std::size_t>(row * batch.seq_len)]);
  }
  return out;
}

void expect_shifted_rows(const Batch& batch) {
  ASSERT_EQ(batch.inputs.size(), static_cast<std::size_t>(batch.rows * batch.seq_len));
  ASSERT_EQ(batch.targets.size(), batch.inputs.size());
  const std::vector<std::int32_t> first = starts(batch);
  for (std::size_t i = 0; i < batch.inputs.size(); ++i) {
    const auto length = static_cast<std::size_t>(batch.seq_len);
    const auto expected = first[i / length] + static_cast<std::int32_t>(i % length);
    EXPECT_EQ(batch.inputs[i], expected);
    EXPECT_EQ(batch.targets[i], expected + 1);
  }
}

TEST(SequentialOrder, LaysTheTokensOutRowByRow) {
  Sampler sampler(counting(25), config(Order::kSequential, 2, 4));
  const Batch first = next(sampler);
  EXPECT_THAT(first.inputs, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(first.targets, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_THAT(starts(next(sampler)), ElementsAre(8, 12));
  const Batch third = next(sampler);
  EXPECT_THAT(starts(third), ElementsAre(16, 20));
  EXPECT_EQ(third.targets.back(), 24);
}

TEST(SequentialOrder, StartsAgainWhenTheNextBatchDoesNotFitWhole) {
  // 24 tokens: the third batch would need token 24.
  Sampler sampler(counting(24), config(Order::kSequential, 2, 4));
  next(sampler);
  EXPECT_THAT(starts(next(sampler)), ElementsAre(8, 12));
  EXPECT_THAT(starts(next(sampler)), ElementsAre(0, 4));
  EXPECT_THAT(starts(next(sampler)), ElementsAre(8, 12));
}

TEST(SequentialOrder, NeedsOneWholeBatch) {
  EXPECT_NO_THROW(Sampler(counting(9), config(Order::kSequential, 2, 4)));
  EXPECT_THAT([] { Sampler(counting(8), config(Order::kSequential, 2, 4)); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("at least 9"), HasSubstr("got 8"))));
}

TEST(RandomOrder, RowsAreShiftedWindows) {
  Sampler sampler(counting(100), config(Order::kRandom, 8, 7));
  for (int step = 0; step < 20; ++step) {
    expect_shifted_rows(next(sampler));
  }
}

TEST(RandomOrder, AnEpochSeesNoTokenTwice) {
  // 103 - 7 starts: 13 rows of 7 an epoch, from one of 96 - 12 * 7 = 12 offsets.
  constexpr int kRows = 13;
  Sampler sampler(counting(103), config(Order::kRandom, kRows, 7));
  std::map<std::int32_t, int> offsets;
  constexpr int kEpochs = 2400;
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    std::vector<std::int32_t> rows = starts(next(sampler));
    std::sort(rows.begin(), rows.end());
    for (std::size_t row = 1; row < rows.size(); ++row) {
      ASSERT_EQ(rows[row], rows[row - 1] + 7) << "epoch " << epoch;
    }
    ++offsets[rows.front()];
  }
  // 99.99% of chi-square with 11 degrees of freedom is 37.4.
  ASSERT_EQ(offsets.size(), 12U);
  EXPECT_EQ(offsets.rbegin()->first, 11);
  double chi_square = 0;
  for (const auto& [offset, count] : offsets) {
    chi_square += (count - 200) * (count - 200) / 200.0;
  }
  EXPECT_LT(chi_square, 37.4);
}

TEST(RandomOrder, EveryRowComesFirstAsOften) {
  constexpr int kRows = 13;
  Sampler sampler(counting(103), config(Order::kRandom, kRows, 7));
  std::map<std::int32_t, int> firsts;
  for (int epoch = 0; epoch < 200 * kRows; ++epoch) {
    const std::vector<std::int32_t> rows = starts(next(sampler));
    ++firsts[(rows.front() - *std::min_element(rows.begin(), rows.end())) / 7];
  }
  // 99.99% of chi-square with 12 degrees of freedom is 39.1.
  ASSERT_EQ(firsts.size(), static_cast<std::size_t>(kRows));
  double chi_square = 0;
  for (const auto& [row, count] : firsts) {
    chi_square += (count - 200) * (count - 200) / 200.0;
  }
  EXPECT_LT(chi_square, 39.1);
}

TEST(RandomOrder, AFewRowsComeFromAllOverTheTokens) {
  constexpr std::int64_t kTokens = 10'007;
  Sampler sampler(counting(kTokens), config(Order::kRandom, 12, 10));
  for (int batch = 0; batch < 83; ++batch) {  // of one epoch
    std::vector<std::int32_t> rows = starts(next(sampler));
    std::sort(rows.begin(), rows.end());
    rows.push_back(rows.front() + static_cast<std::int32_t>(kTokens));
    for (std::size_t row = 1; row < rows.size(); ++row) {
      const std::int32_t gap = rows[row] - rows[row - 1];
      EXPECT_GT(gap, kTokens / 12 / 3) << "batch " << batch;
      EXPECT_LT(gap, kTokens / 12 * 2) << "batch " << batch;
    }
  }
}

TEST(RandomOrder, OneStartIsTheOnlyOne) {
  Sampler sampler(counting(5), config(Order::kRandom, 3, 4));
  EXPECT_THAT(starts(next(sampler)), ElementsAre(0, 0, 0));
}

// Pins the sequence: a saved state means the same batches in every version, or checkpoints get another version too.
TEST(RandomOrder, DrawsTheSameStartsForever) {
  Sampler sampler(counting(1000), config(Order::kRandom, 4, 8));
  EXPECT_THAT(starts(next(sampler)), ElementsAre(666, 290, 906, 530));
}

TEST(RandomOrder, SeedsDiffer) {
  auto setting = config(Order::kRandom, 16, 8);
  Sampler one(counting(1000), setting);
  setting.seed = 1338;
  Sampler two(counting(1000), setting);
  EXPECT_NE(starts(next(one)), starts(next(two)));
}

TEST(Sampler, GoesOnExactlyFromASavedState) {
  for (const Order order : {Order::kRandom, Order::kSequential}) {
    Sampler sampler(counting(60), config(order, 3, 5));
    for (int step = 0; step < 5; ++step) {
      const SamplerState saved = sampler_state_from_json(to_json(sampler.state()));
      EXPECT_EQ(saved, sampler.state());
      auto other_seed = config(order, 3, 5);
      other_seed.seed = 7;
      Sampler resumed(counting(60), other_seed);
      resumed.restore(saved);
      Sampler copy = sampler;
      for (int ahead = 0; ahead < 7; ++ahead) {
        EXPECT_EQ(next(copy).inputs, next(resumed).inputs);
      }
      EXPECT_EQ(copy.state(), resumed.state());
      next(sampler);
    }
  }
}

TEST(Sampler, RanksShareOneGlobalBatch) {
  constexpr std::int64_t kRanks = 3;
  for (const Order order : {Order::kRandom, Order::kSequential}) {
    Sampler whole(counting(80), config(order, 2 * kRanks, 4));
    std::vector<Sampler> parts;
    for (std::int64_t rank = 0; rank < kRanks; ++rank) {
      parts.emplace_back(counting(80), config(order, 2, 4, {rank, kRanks}));
    }
    for (int step = 0; step < 10; ++step) {
      std::vector<std::int32_t> together;
      for (Sampler& part : parts) {
        const Batch batch = next(part);
        EXPECT_EQ(batch.rows, 2);
        together.insert(together.end(), batch.inputs.begin(), batch.inputs.end());
        EXPECT_EQ(part.state(), parts.front().state());
      }
      EXPECT_EQ(together, next(whole).inputs);
    }
  }
}

TEST(Sampler, GoesOnInOrderWithAnotherBatchSize) {
  Sampler pairs(counting(41), config(Order::kSequential, 2, 4));
  next(pairs);
  Sampler triples(counting(41), config(Order::kSequential, 3, 4));
  triples.restore(pairs.state());
  EXPECT_THAT(starts(next(triples)), ElementsAre(8, 12, 16));
  EXPECT_THAT(starts(next(triples)), ElementsAre(20, 24, 28));
  EXPECT_THAT(starts(next(triples)), ElementsAre(0, 4, 8));
}

TEST(Sampler, RefusesAStateThatDoesNotFit) {
  Sampler sampler(counting(60), config(Order::kRandom, 3, 5));
  EXPECT_THAT(
      [&] {
        sampler.restore({Order::kSequential, 1, 0});
      },
      ThrowsMessage<ConfigError>(AllOf(HasSubstr("is sequential"), HasSubstr("is random"))));
  EXPECT_THROW(sampler.restore({Order::kRandom, 1, -1}), DataError);
  EXPECT_THROW(sampler.restore({Order::kRandom, 1, std::numeric_limits<std::int64_t>::max()}), DataError);
}

TEST(Sampler, RefusesSettingsOutOfRange) {
  const TokenStream tokens = counting(10);
  EXPECT_THROW(Sampler(tokens, config(Order::kRandom, 0, 4)), ConfigError);
  EXPECT_THROW(Sampler(tokens, config(Order::kRandom, 1, 0)), ConfigError);
  EXPECT_THROW(Sampler(tokens, config(Order::kRandom, 1, 4, {2, 2})), ConfigError);
  EXPECT_THROW(Sampler(tokens, config(Order::kRandom, 1, 4, {-1, 2})), ConfigError);
  EXPECT_NO_THROW(Sampler(tokens, config(Order::kRandom, 1, 9)));
  EXPECT_THAT([&] { Sampler(tokens, config(Order::kRandom, 1, 10)); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("at least 11"), HasSubstr("got 10"))));
}

TEST(SamplerState, IsKeptAsJson) {
  const SamplerState state{Order::kSequential, std::numeric_limits<std::uint64_t>::max(), 1'234'567'890'123};
  EXPECT_EQ(sampler_state_from_json(to_json(state)), state);
  for (const char* text :
       {"", "[]", "{}", R"({"order":"up","seed":1,"position":0})", R"({"order":"random","seed":-1,"position":0})",
        R"({"order":"random","seed":1.5,"position":0})", R"({"order":"random","seed":1,"position":-1})",
        R"({"order":"random","seed":1,"position":18446744073709551615})", R"({"order":"random","seed":1})",
        R"({"order":3,"seed":1,"position":0})"}) {
    EXPECT_THROW(sampler_state_from_json(text), DataError) << text;
  }
}

TEST(Order, HasNames) {
  EXPECT_EQ(to_string(Order::kRandom), "random");
  EXPECT_EQ(to_string(Order::kSequential), "sequential");
}

}  // namespace
}  // namespace retape::data
