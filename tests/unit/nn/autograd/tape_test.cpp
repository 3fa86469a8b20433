#include "nn/autograd/tape.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include "tests/support/meter.h"
#include "tests/support/policies.h"
#include "tests/unit/nn/autograd/tape_case.h"

namespace retape::nn {
namespace {

using toy::AddNoise;
using toy::DoubleReadingInput;
using toy::DoubleReadingNothing;
using toy::DoubleReadingOutput;
using toy::Sum;
using toy::TwoStage;

class TapeTest : public TapeCase {
 protected:
  // `blocks` regions of `ops` ops each, grouped by `group` regions where that is not 0.
  Var chain(Tape& tape, Var x, int blocks, int ops, int group = 0) {
    int id = 0;
    std::optional<RegionScope> outer;
    for (int b = 0; b < blocks; ++b) {
      if (group > 0 && b % group == 0) {
        outer.reset();
        outer.emplace(tape.region("group"));
      }
      const RegionScope block = tape.region("block");
      for (int i = 0; i < ops; ++i) {
        x = apply<DoubleReadingInput>(tape, std::move(x), id++);
      }
    }
    return x;
  }

  float gradient() { return slot_.gradient.to_host<float>().front(); }
};

TEST_F(TapeTest, DifferentiatesAChain) {
  Tape tape(context_);
  Var x = tape.leaf(scalar(3), &slot_);
  for (int id = 0; id < 5; ++id) {
    x = apply<DoubleReadingInput>(tape, std::move(x), id);
  }
  EXPECT_EQ(x.data().to_host<float>().front(), 96);
  tape.backward(std::move(x));
  EXPECT_EQ(gradient(), 32);
  EXPECT_EQ(log_.forward, (std::vector{0, 1, 2, 3, 4}));
  EXPECT_EQ(log_.backward, (std::vector{4, 3, 2, 1, 0}));
}

TEST_F(TapeTest, SumsTheGradientsOfAValueThatIsUsedTwice) {
  Tape tape(context_);
  const Var x = tape.leaf(scalar(3), &slot_);
  const Var y = apply<DoubleReadingInput>(tape, x, 0);
  Var twice = tape.run<Sum>({&log_, 1}, {y, y});
  tape.backward(tape.run<Sum>({&log_, 2}, {std::move(twice), x}));
  EXPECT_EQ(gradient(), 5);
}

TEST_F(TapeTest, AddsToTheSlotAcrossTapes) {
  for (int i = 0; i < 3; ++i) {
    Tape tape(context_);
    tape.backward(apply<DoubleReadingInput>(tape, tape.leaf(scalar(1), &slot_), 0));
  }
  EXPECT_EQ(gradient(), 6);
}

// The model of the schedules: 64 blocks of 8 values, each op reading its input in backward. The first value is made by
// an op too, so that it counts.
struct ScheduleCase {
  bool drop;
  int group;
  Bytes peak;
  int most_runs;
};

class Schedule : public TapeTest, public testing::WithParamInterface<ScheduleCase> {};

TEST_P(Schedule, PeaksAtTheExactCount) {
  const auto [drop, group, peak, most_runs] = GetParam();
  const DropInRegions policy;
  BlockMeter meter(device_);
  Tape tape(context_, {.record = true, .policy = drop ? &policy : nullptr});
  Var x = apply<DoubleReadingNothing>(tape, tape.leaf(scalar(0), &slot_), 10'000);
  x = chain(tape, std::move(x), 64, 8, group);
  tape.backward(std::move(x));
  EXPECT_EQ(meter.peak(), peak);
  EXPECT_EQ(meter.live(), 0);
  int most = 0;
  for (int id = 0; id < 64 * 8; ++id) {
    most = std::max(most, log_.runs(id));
  }
  EXPECT_EQ(most, most_runs);
}

INSTANTIATE_TEST_SUITE_P(Schedules, Schedule,
                         testing::Values(ScheduleCase{.drop = false, .group = 0, .peak = 513, .most_runs = 1},
                                         ScheduleCase{.drop = true, .group = 0, .peak = 71, .most_runs = 2},
                                         ScheduleCase{.drop = true, .group = 8, .peak = 22, .most_runs = 3}));

TEST_F(TapeTest, ReplaysInRecordedOrderAndSkipsTheTail) {
  const DropInRegions policy;
  Tape tape(context_, {.record = true, .policy = &policy});
  tape.backward(chain(tape, tape.leaf(scalar(1), &slot_), 2, 4));
  // Nobody reads the output of the last op of a block, so it never runs again.
  EXPECT_EQ(log_.forward, (std::vector{0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 0, 1, 2}));
  EXPECT_EQ(tape.stats().forward_ops, 8);
  EXPECT_EQ(tape.stats().rebuilt_ops, 6);
  EXPECT_EQ(tape.stats().rebuilt_flops, 6);
}

TEST_F(TapeTest, AnInputThatNoBackwardReadsIsHeldForItsRegionWhenNeeded) {
  const DropInRegions policy;
  Tape tape(context_, {.record = true, .policy = &policy});
  Var x = apply<DoubleReadingNothing>(tape, tape.leaf(scalar(1), &slot_), 0);
  {
    const RegionScope block = tape.region("block");
    x = apply<DoubleReadingNothing>(tape, std::move(x), 1);
    x = apply<DoubleReadingInput>(tape, std::move(x), 2);
  }
  tape.backward(std::move(x));
  EXPECT_EQ(log_.forward, (std::vector{0, 1, 2, 1}));
}

TEST_F(TapeTest, AnInputThatNoRebuildNeedsIsNotHeld) {
  BlockMeter meter(device_);
  Tape tape(context_);
  Var x = apply<DoubleReadingNothing>(tape, tape.leaf(scalar(1), &slot_), 0);
  {
    const RegionScope block = tape.region("block");
    x = apply<DoubleReadingNothing>(tape, std::move(x), 1);
    x = apply<DoubleReadingInput>(tape, std::move(x), 2);
  }
  EXPECT_EQ(meter.live(), 2);  // the input of the last op, and x
  tape.backward(std::move(x));
  EXPECT_EQ(log_.runs(0), 1);
}

TEST_F(TapeTest, AValueUsedOutsideItsRegionBelongsToTheRegionAround) {
  const DropInRegions policy;
  Tape tape(context_, {.record = true, .policy = &policy});
  Var x = tape.leaf(scalar(1), &slot_);
  {
    const RegionScope block = tape.region("first");
    x = apply<DoubleReadingOutput>(tape, std::move(x), 0);  // asked about inside, let go, then used outside
  }
  {
    const RegionScope block = tape.region("second");
    x = apply<DoubleReadingInput>(tape, std::move(x), 1);
  }
  tape.backward(std::move(x));
  EXPECT_EQ(log_.forward, (std::vector{0, 1}));
}

TEST_F(TapeTest, TakesTheCheapWayToRebuildWhereItIsOpen) {
  const DropNamed policy("outer");
  Tape tape(context_, {.record = true, .policy = &policy});
  Var x = apply<TwoStage>(tape, tape.leaf(scalar(1), &slot_), 1);
  tape.backward(apply<DoubleReadingInput>(tape, std::move(x), 2));
  EXPECT_EQ(log_.forward, (std::vector{1, 2, TwoStage::kRebuildId + 1}));
  EXPECT_EQ(gradient(), 4);
}

TEST_F(TapeTest, RunsForwardWhereTheCheapWayIsClosed) {
  const DropInRegions policy;
  Tape tape(context_, {.record = true, .policy = &policy});
  Var x = tape.leaf(scalar(1), &slot_);
  {
    const RegionScope block = tape.region("block");
    x = apply<TwoStage>(tape, std::move(x), 1);
    x = apply<DoubleReadingInput>(tape, std::move(x), 2);
  }
  tape.backward(std::move(x));
  EXPECT_EQ(log_.forward, (std::vector{1, 2, 1}));
}

TEST_F(TapeTest, RebuildsTheSameRandomNumbersAndMovesNoGenerator) {
  float kept = 0;
  for (const bool drop : {false, true}) {
    const DropInRegions policy;
    slot_ = {};
    context_.generator().set_state({.seed = 7, .offset = 5});
    Tape tape(context_, {.record = true, .policy = drop ? &policy : nullptr});
    Var x = tape.leaf(scalar(1), &slot_);
    {
      const RegionScope block = tape.region("block");
      x = apply<AddNoise>(tape, std::move(x), 0);
      x = apply<DoubleReadingInput>(tape, std::move(x), 1);
    }
    const RngState before = context_.generator().state();
    EXPECT_EQ(before.offset, 6U);
    tape.backward(std::move(x));
    EXPECT_EQ(context_.generator().state(), before);
    EXPECT_EQ(log_.runs(0), drop ? 3 : 1);
    if (drop) {
      EXPECT_EQ(gradient(), kept);
    }
    kept = gradient();
  }
}

TEST_F(TapeTest, BackwardTwiceWhereAsked) {
  for (const bool drop : {false, true}) {
    const DropInRegions policy;
    slot_ = {};
    Tape tape(context_, {.record = true, .policy = drop ? &policy : nullptr});
    const Var y = chain(tape, tape.leaf(scalar(1), &slot_), 3, 2);
    tape.backward(y, {.seed = 1, .retain = true});
    tape.backward(y, {.seed = 10, .retain = false});
    EXPECT_EQ(gradient(), 64 * 11);
    EXPECT_THROW(tape.backward(y), Error);
  }
}

TEST_F(TapeTest, RecordsNothingWithoutAGradient) {
  BlockMeter meter(device_);
  for (const bool record : {true, false}) {
    Tape tape(context_, {.record = record, .policy = nullptr});
    Var x = tape.leaf(scalar(1), record ? nullptr : &slot_);
    x = chain(tape, std::move(x), 2, 4);
    EXPECT_FALSE(x.requires_grad());
    EXPECT_EQ(meter.live(), 1);
    EXPECT_EQ(meter.peak(), 2);
    EXPECT_THROW(tape.backward(std::move(x)), Error);
  }
}

TEST_F(TapeTest, AStoreHoldsWhatThePolicyGivesIt) {
  class StoreAll final : public RetentionPolicy {
   public:
    explicit StoreAll(SavedStore& store) : store_(store) {}
    Decision decide(const ValueInfo& /*value*/) const override { return {.what = Retain::store, .store = &store_}; }

   private:
    SavedStore& store_;
  };
  KeepInPlaceStore store;
  const StoreAll policy(store);
  BlockMeter meter(device_);
  Tape tape(context_, {.record = true, .policy = &policy});
  Var x = apply<DoubleReadingNothing>(tape, tape.leaf(scalar(1), &slot_), 100);
  tape.backward(chain(tape, std::move(x), 2, 4));
  EXPECT_EQ(gradient(), 512);
  EXPECT_EQ(meter.peak(), 9);
  EXPECT_EQ(meter.live(), 0);
}

// A constant too: each rank may have been given a part of its own.
TEST_F(TapeTest, WhatIsMadeOfAShardIsOne) {
  class Placements final : public RetentionPolicy {
   public:
    Decision decide(const ValueInfo& value) const override {
      seen.emplace_back(value.placement);
      return {};
    }
    mutable std::vector<Placement> seen;
  };
  const Placements policy;
  Tape tape(context_, {.policy = &policy});
  const Var shard = tape.leaf(scalar(1), nullptr, "tokens", Placement::shard);
  const Var constant = apply<DoubleReadingNothing>(tape, shard, 0);
  const Var x = apply<DoubleReadingOutput>(tape, tape.leaf(scalar(1), &slot_), 1);
  const Var y = tape.run<Sum>({&log_, 2}, {x, constant});
  apply<DoubleReadingInput>(tape, y, 3);
  EXPECT_EQ(policy.seen, (std::vector{Placement::replicated, Placement::shard}));
}

TEST_F(TapeTest, AnExceptionInForwardLeavesTheTapeUsable) {
  BlockMeter meter(device_);
  Tape tape(context_);
  Var x = apply<DoubleReadingInput>(tape, tape.leaf(scalar(1), &slot_), 0);
  const RngState before = context_.generator().state();
  log_.throw_in_forward = true;
  EXPECT_THROW(apply<AddNoise>(tape, x, 1), std::runtime_error);
  log_.throw_in_forward = false;
  EXPECT_EQ(context_.generator().state(), before);
  tape.backward(apply<DoubleReadingInput>(tape, std::move(x), 2));
  EXPECT_EQ(gradient(), 4);
  EXPECT_EQ(meter.live(), 0);
}

TEST_F(TapeTest, AnExceptionInBackwardOrRebuildEndsTheTapeAndHoldsNothing) {
  for (const bool in_rebuild : {false, true}) {
    const DropInRegions policy;
    BlockMeter meter(device_);
    Tape tape(context_, {.record = true, .policy = &policy});
    Var x = apply<DoubleReadingNothing>(tape, tape.leaf(scalar(1), &slot_), 100);
    x = chain(tape, std::move(x), 3, 4);
    const RngState before = context_.generator().state();
    (in_rebuild ? log_.throw_in_forward : log_.throw_in_backward) = true;
    EXPECT_THROW(tape.backward(std::move(x)), std::runtime_error);
    log_ = {};
    EXPECT_EQ(meter.live(), 0);
    EXPECT_EQ(context_.generator().state(), before);
    EXPECT_THROW(tape.leaf(scalar(1)), Error);
  }
}

// The input of the block is no backward's, so it goes to the store when the region closes.
TEST_F(TapeTest, AStoreThatFailsAtTheEndOfARegionEndsTheTape) {
  class Full final : public SavedStore, public RetentionPolicy {
   public:
    std::unique_ptr<SavedValue> save(Tensor /*value*/, const ValueInfo& /*info*/) override {
      throw OutOfMemory("the store is full");
    }
    Decision decide(const ValueInfo& value) const override {
      return value.home->depth > 0 ? Decision{.what = Retain::recompute}
                                   : Decision{.what = Retain::store, .store = const_cast<Full*>(this)};
    }
  };
  Full full;
  BlockMeter meter(device_);
  Tape tape(context_, {.record = true, .policy = &full});
  Var x = apply<DoubleReadingNothing>(tape, tape.leaf(scalar(1), &slot_), 0);
  {
    const RegionScope block = tape.region("block");
    x = apply<DoubleReadingNothing>(tape, std::move(x), 1);
    x = apply<DoubleReadingInput>(tape, std::move(x), 2);
  }
  EXPECT_THROW(tape.leaf(scalar(1)), OutOfMemory);
  EXPECT_THROW(tape.backward(std::move(x)), OutOfMemory);
  EXPECT_EQ(meter.live(), 0);
}

TEST_F(TapeTest, RefusesAValueOfAnotherTape) {
  Var stale;
  {
    Tape tape(context_);
    stale = apply<DoubleReadingInput>(tape, tape.leaf(scalar(1), &slot_), 0);
  }
  Tape tape(context_);
  EXPECT_THROW(apply<DoubleReadingInput>(tape, stale, 1), Error);
  EXPECT_THROW(tape.backward(stale), Error);
}

TEST_F(TapeTest, RefusesARegionClosedTwiceOrOutOfOrder) {
  Tape tape(context_);
  RegionScope outer = tape.region("outer");
  RegionScope inner = tape.region("inner");
  EXPECT_THROW(outer.close(), Error);
  inner.close();
  EXPECT_THROW(inner.close(), Error);
  outer.close();
}

TEST_F(TapeTest, RefusesALossThatIsNoScalar) {
  Tape tape(context_);
  const Tensor pair(device_, Shape{2}, DType::f32, Tag::parameters);
  Var x = apply<DoubleReadingInput>(tape, tape.leaf(pair, &slot_), 0);
  EXPECT_THROW(tape.backward(std::move(x)), ShapeError);
}

// With nobody reading the values between, they are rebuilt together and not one by one.
TEST_F(TapeTest, OneLevelRunsEachOpAtMostTwiceWhateverBackwardReads) {
  const DropInRegions policy;
  Tape tape(context_, {.record = true, .policy = &policy});
  Var x = apply<DoubleReadingNothing>(tape, tape.leaf(scalar(1), &slot_), 0);
  {
    const RegionScope block = tape.region("block");
    x = apply<DoubleReadingNothing>(tape, std::move(x), 1);  // a fork that no backward reads
    const Var left = apply<DoubleReadingOutput>(tape, x, 2);
    const Var right = apply<DoubleReadingOutput>(tape, x, 3);
    x = tape.run<Sum>({&log_, 4}, {left, right});
    x = apply<DoubleReadingNothing>(tape, std::move(x), 5);
  }
  tape.backward(std::move(x));
  for (int id = 0; id <= 5; ++id) {
    EXPECT_LE(log_.runs(id), 2) << id;
  }
  EXPECT_EQ(gradient(), 16 * 2);
}

}  // namespace
}  // namespace retape::nn
