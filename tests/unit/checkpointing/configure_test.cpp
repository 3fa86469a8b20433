// What is to be the same on all ranks when they configure, and what a former configuration leaves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/ranks.h"
#include "tests/unit/checkpointing/rank.h"
#include "tests/unit/checkpointing/tiny_model.h"

namespace retape::checkpointing {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;

TEST(Configure, RanksOfDifferentPoliciesAllFail) {
  const auto expect_all = [](const Policy& first, const Policy& others) {
    const parallel::testing::Failures failures =
        parallel::testing::failures_of(2, [&](parallel::Communicator& communicator) {
          Rank rank(parallel::make_topology(communicator, 2));
          rank.checkpointer.set_policy(rank.rank == 0 ? first : others);
          rank.checkpointer.configure();
        });
    EXPECT_THAT(failures.ranks,
                Each(AllOf(HasSubstr("[comm] activation checkpointing settings: the ranks disagree: rank 0 has"),
                           HasSubstr("policy " + first.describe()), HasSubstr("policy " + others.describe()))));
  };
  expect_all(full(), none());
  expect_all(full(), full(2));
  expect_all(selective({"gelu"}), selective({"layer_norm"}));
  expect_all(uniform(2), nested(2));
}

// However often it is configured before somebody asks.
TEST(Configure, WhatFormerStoresHaveOffloadedIsCounted) {
  constexpr Bytes kOfAStep = 4 * TinyModel::kBatch * TinyModel::kSeqLen * TinyModel::kDim * 4;
  Rank rank;
  TinyModel model(rank.device);
  rank.checkpointer.set_policy(full());
  const auto configure_and_step = [&] {
    rank.checkpointer.configure({.cpu_checkpointing = true});
    (void)step(rank, model);
  };
  configure_and_step();
  configure_and_step();
  configure_and_step();
  EXPECT_EQ(rank.checkpointer.take_offloaded_bytes(), 3 * kOfAStep);
  EXPECT_EQ(rank.checkpointer.take_offloaded_bytes(), 0);
  configure_and_step();
  (void)step(rank, model);
  EXPECT_EQ(rank.checkpointer.take_offloaded_bytes(), 2 * kOfAStep);
  (void)step(rank, model);
  rank.checkpointer.configure();
  EXPECT_EQ(rank.checkpointer.take_offloaded_bytes(), kOfAStep);
  EXPECT_EQ(rank.checkpointer.take_offloaded_bytes(), 0);
}

}  // namespace
}  // namespace retape::checkpointing
