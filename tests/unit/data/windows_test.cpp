#include "data/windows.h"

#include <gmock/gmock.h>

#include <numeric>

#include "nn/base/error.h"

namespace retape::data {
namespace {

using testing::ElementsAre;

TokenStream counting(std::size_t count) {
  std::vector<Token> tokens(count);
  std::iota(tokens.begin(), tokens.end(), Token{0});
  return {"counting", std::move(tokens)};
}

TEST(Windows, GivesEveryWindowOnceInOrder) {
  Windows windows(counting(24), 2, 4);
  EXPECT_EQ(windows.count(), 5);  // 4 * 5 + 1 = 21 of the 24 tokens; a sixth would need 25
  Batch batch;
  std::vector<std::int32_t> inputs;
  std::vector<std::int64_t> rows;
  while (windows.next(batch)) {
    rows.push_back(batch.rows);
    inputs.insert(inputs.end(), batch.inputs.begin(), batch.inputs.end());
    for (std::size_t i = 0; i < batch.inputs.size(); ++i) {
      EXPECT_EQ(batch.targets[i], batch.inputs[i] + 1);
    }
  }
  EXPECT_THAT(rows, ElementsAre(2, 2, 1));
  std::vector<std::int32_t> expected(20);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(inputs, expected);
  EXPECT_FALSE(windows.next(batch));
}

TEST(Windows, CountsToTheLastTarget) {
  EXPECT_EQ(Windows(counting(5), 2, 4).count(), 1);
  EXPECT_EQ(Windows(counting(8), 2, 4).count(), 1);
  EXPECT_EQ(Windows(counting(9), 2, 4).count(), 2);
  EXPECT_EQ(Windows(counting(111), 12, 64).count(), 1);
  EXPECT_THROW(Windows(counting(4), 2, 4), DataError);
  EXPECT_THROW(Windows(counting(9), 0, 4), ConfigError);
}

TEST(Windows, RanksGetEquallyManyBatches) {
  // Five windows in global batches of four: the second has one row, which rank 0 takes.
  Windows first(counting(21), 2, 4, {0, 2});
  Windows second(counting(21), 2, 4, {1, 2});
  Batch batch;
  ASSERT_TRUE(first.next(batch));
  EXPECT_EQ(batch.inputs.front(), 0);
  ASSERT_TRUE(second.next(batch));
  EXPECT_EQ(batch.inputs.front(), 8);
  EXPECT_EQ(batch.rows, 2);
  ASSERT_TRUE(first.next(batch));
  EXPECT_THAT(batch.inputs, ElementsAre(16, 17, 18, 19));
  ASSERT_TRUE(second.next(batch));
  EXPECT_EQ(batch.rows, 0);
  EXPECT_TRUE(batch.inputs.empty());
  EXPECT_FALSE(first.next(batch));
  EXPECT_FALSE(second.next(batch));
}

}  // namespace
}  // namespace retape::data
