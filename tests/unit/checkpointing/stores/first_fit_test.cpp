#include "checkpointing/stores/first_fit.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace retape::checkpointing {
namespace {

TEST(FirstFit, TakesTheLowestGapThatIsLargeEnough) {
  FirstFit line(100);
  EXPECT_EQ(line.take(10), 0);
  EXPECT_EQ(line.take(30), 10);
  EXPECT_EQ(line.take(10), 40);
  EXPECT_EQ(line.take(20), 50);
  line.give_back(0);
  line.give_back(40);
  EXPECT_EQ(line.take(11), 70);
  EXPECT_EQ(line.take(9), 0);
  EXPECT_EQ(line.take(2), 40);
  EXPECT_EQ(line.live(), 72);
}

TEST(FirstFit, ALowGapGoesBeforeOneThatFitsBetter) {
  FirstFit line(100);
  EXPECT_EQ(line.take(40), 0);
  EXPECT_EQ(line.take(10), 40);
  EXPECT_EQ(line.take(20), 50);
  EXPECT_EQ(line.take(10), 70);
  line.give_back(50);
  line.give_back(0);
  EXPECT_EQ(line.take(20), 0);
  EXPECT_EQ(line.take(20), 20);
  EXPECT_EQ(line.take(20), 50);
}

TEST(FirstFit, JoinsFreeNeighbours) {
  for (const bool upwards : {true, false}) {
    FirstFit line(30);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(line.take(10), 10 * i);
    }
    EXPECT_FALSE(line.take(1));
    for (int i = 0; i < 3; ++i) {
      line.give_back(upwards ? 10 * i : 20 - 10 * i);
    }
    EXPECT_EQ(line.live(), 0);
    EXPECT_EQ(line.take(30), 0);
  }
}

TEST(FirstFit, RangesNeverOverlap) {
  std::mt19937 random(1);
  FirstFit line(2000);
  std::map<Bytes, Bytes> taken;
  Bytes live = 0;
  for (int i = 0; i < 5000; ++i) {
    const auto bytes = static_cast<Bytes>(1 + random() % 100);
    const std::optional<Bytes> offset = random() % 2 == 0 ? line.take(bytes) : std::nullopt;
    if (offset) {
      const auto next = taken.lower_bound(*offset);
      ASSERT_TRUE(next == taken.end() || *offset + bytes <= next->first);
      ASSERT_TRUE(next == taken.begin() || std::prev(next)->first + std::prev(next)->second <= *offset);
      ASSERT_LE(*offset + bytes, line.capacity());
      taken.emplace(*offset, bytes);
      live += bytes;
    } else if (!taken.empty()) {
      const auto one = std::next(taken.begin(), static_cast<std::ptrdiff_t>(random() % taken.size()));
      line.give_back(one->first);
      live -= one->second;
      taken.erase(one);
    }
    ASSERT_EQ(line.live(), live);
  }
}

}  // namespace
}  // namespace retape::checkpointing
