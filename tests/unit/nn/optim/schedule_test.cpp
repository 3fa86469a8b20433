#include "nn/optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace retape::nn {
namespace {

constexpr Schedule kCosine{
    .kind = ScheduleKind::cosine, .lr = 1e-3, .min_lr = 1e-4, .warmup_steps = 100, .steps = 2000};

TEST(Schedule, WarmsUpLinearlyWithoutAWastedStep) {
  EXPECT_DOUBLE_EQ(kCosine.at(0), 1e-3 / 101);
  EXPECT_DOUBLE_EQ(kCosine.at(49), 1e-3 * 50 / 101);
  EXPECT_DOUBLE_EQ(kCosine.at(99), 1e-3 * 100 / 101);
  EXPECT_DOUBLE_EQ(kCosine.at(100), 1e-3);
}

TEST(Schedule, CosineGoesFromTheRateToItsMinimum) {
  EXPECT_DOUBLE_EQ(kCosine.at(100), 1e-3);
  EXPECT_DOUBLE_EQ(kCosine.at(1050), (1e-3 + 1e-4) / 2);
  EXPECT_DOUBLE_EQ(kCosine.at(575), 1e-4 + 0.5 * (1 + std::sqrt(0.5)) * 9e-4);
  EXPECT_DOUBLE_EQ(kCosine.at(2000), 1e-4);
  EXPECT_DOUBLE_EQ(kCosine.at(5000), 1e-4);
  for (int step = 100; step < 2000; ++step) {
    EXPECT_GT(kCosine.at(step), kCosine.at(step + 1)) << step;
  }
}

TEST(Schedule, ConstantStaysAfterWarmUp) {
  const Schedule schedule{.kind = ScheduleKind::constant, .lr = 2e-3, .min_lr = 1e-4, .warmup_steps = 3, .steps = 10};
  EXPECT_DOUBLE_EQ(schedule.at(0), 2e-3 / 4);
  for (const int step : {3, 9, 10, 1000}) {
    EXPECT_EQ(schedule.at(step), 2e-3) << step;
  }
}

TEST(Schedule, WorksWithoutWarmUpAndWithNothingAfterIt) {
  EXPECT_DOUBLE_EQ((Schedule{.kind = ScheduleKind::cosine, .lr = 1, .steps = 10}).at(0), 1);
  const Schedule only_warm_up{.kind = ScheduleKind::cosine, .lr = 1, .min_lr = 0.5, .warmup_steps = 4, .steps = 4};
  EXPECT_DOUBLE_EQ(only_warm_up.at(3), 0.8);
  EXPECT_DOUBLE_EQ(only_warm_up.at(4), 1);
  EXPECT_DOUBLE_EQ(only_warm_up.at(5), 0.5);
}

TEST(Schedule, AWarmUpLongerThanTheRunIsCutWhereTheRunEnds) {
  for (const ScheduleKind kind : {ScheduleKind::constant, ScheduleKind::cosine}) {
    const Schedule brief{.kind = kind, .lr = 1e-3, .min_lr = 1e-4, .warmup_steps = 100, .steps = 3};
    for (const int step : {0, 1, 2}) {
      EXPECT_EQ(brief.at(step), kCosine.at(step)) << step;
    }
  }
}

}  // namespace
}  // namespace retape::nn
