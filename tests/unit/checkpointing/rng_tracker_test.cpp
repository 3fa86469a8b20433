#include "checkpointing/rng_tracker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "nn/base/error.h"

namespace retape::checkpointing {
namespace {

using nn::RngState;
using ::testing::ThrowsMessage;
using States = RngTracker::States;

class RngTrackerTest : public ::testing::Test {
 protected:
  RngTrackerTest() : device_({.kind = nn::DeviceKind::meta}), context_(device_, {.seed = 1, .offset = 10}) {}

  // The state that an op would draw from now, moved on by four elements.
  RngState draw() { return context_.generator().draw(4); }

  nn::Device device_;
  nn::Context context_;
  RngTracker rng_{context_};
};

TEST_F(RngTrackerTest, StartsWithTheDefaultState) {
  EXPECT_EQ(rng_.get_states(), (States{{"default", {1, 10}}}));
}

TEST_F(RngTrackerTest, AForkDrawsFromItsStateWhileItLives) {
  rng_.add(kModelParallelRng, 5);
  rng_.add("own", 6);
  {
    const RngTracker::Fork fork = rng_.fork();
    EXPECT_EQ(draw(), (RngState{5, 0}));
    {
      const RngTracker::Fork inner = rng_.fork("own");
      EXPECT_EQ(draw(), (RngState{6, 0}));
      const RngTracker::Fork back = rng_.fork(kDefaultRng);
      EXPECT_EQ(draw(), (RngState{1, 10}));
    }
    EXPECT_EQ(draw(), (RngState{5, 1}));
    const RngTracker::Fork again = rng_.fork();
    EXPECT_EQ(draw(), (RngState{5, 2}));
  }
  EXPECT_EQ(draw(), (RngState{1, 11}));
  EXPECT_EQ(rng_.get_states(), (States{{"default", {1, 12}}, {"model-parallel-rng", {5, 3}}, {"own", {6, 1}}}));
}

TEST_F(RngTrackerTest, AForkEndsWithAnException) {
  rng_.add("own", 6);
  try {
    const RngTracker::Fork fork = rng_.fork("own");
    draw();
    throw std::runtime_error("the model");
  } catch (const std::runtime_error&) {
    EXPECT_EQ(draw(), (RngState{1, 10}));
  }
  EXPECT_NO_THROW(rng_.reset());
}

TEST_F(RngTrackerTest, StatesAreSetAsTheyWereGot) {
  rng_.add("own", 6);
  const States before = rng_.get_states();
  draw();
  {
    const RngTracker::Fork fork = rng_.fork("own");
    draw();
  }
  rng_.add("other", 7);
  rng_.set_states(before);
  EXPECT_EQ(rng_.get_states(), before);
  EXPECT_EQ(draw(), (RngState{1, 10}));
  EXPECT_THROW((void)rng_.fork("other"), Error);
  EXPECT_NO_THROW(rng_.add("other", 7));
}

TEST_F(RngTrackerTest, ResetForgetsAllButTheDefaultState) {
  rng_.add("own", 6);
  draw();
  rng_.reset();
  EXPECT_EQ(rng_.get_states(), (States{{"default", {1, 11}}}));
  EXPECT_NO_THROW(rng_.add("own", 6));
}

TEST_F(RngTrackerTest, RefusesNamesAndSeedsThatAreThere) {
  rng_.add("own", 6);
  EXPECT_THAT([&] { rng_.add("own", 7); }, ThrowsMessage<Error>("[rng] own: expected a new name, got one that exists"));
  EXPECT_THAT([&] { rng_.add("default", 7); },
              ThrowsMessage<Error>("[rng] default: expected a new name, got one that exists"));
  EXPECT_THAT([&] { rng_.add("other", 6); },
              ThrowsMessage<Error>("[rng] other: expected a seed that no other state has, got 6"));
  EXPECT_EQ(rng_.get_states(), (States{{"default", {1, 10}}, {"own", {6, 0}}}));
}

TEST_F(RngTrackerTest, RefusesAnUnknownName) {
  EXPECT_THAT([&] { (void)rng_.fork("own"); },
              ThrowsMessage<Error>("[rng] own: expected the name of a state, got one that was not added"));
  EXPECT_THAT(
      [&] { (void)rng_.fork(); },
      ThrowsMessage<Error>("[rng] model-parallel-rng: expected the name of a state, got one that was not added"));
  EXPECT_EQ(draw(), (RngState{1, 10}));
  EXPECT_NO_THROW(rng_.reset());
}

TEST_F(RngTrackerTest, RefusesStatesWithoutTheDefaultOne) {
  rng_.add("own", 6);
  EXPECT_THAT(
      [&] {
        rng_.set_states({{"other", {7, 0}}});
      },
      ThrowsMessage<Error>("[rng] set_states: expected the state default among them, got none"));
  EXPECT_EQ(rng_.get_states(), (States{{"default", {1, 10}}, {"own", {6, 0}}}));
}

TEST_F(RngTrackerTest, RefusesToReplaceStatesThatAreInUse) {
  rng_.add("own", 6);
  const RngTracker::Fork fork = rng_.fork("own");
  const RngTracker::Fork inner = rng_.fork("default");
  EXPECT_THAT([&] { rng_.reset(); }, ThrowsMessage<Error>("[rng] reset: expected no state to be in use, got 2 forks"));
  EXPECT_THAT(
      [&] {
        rng_.set_states({{"default", {0, 0}}});
      },
      ThrowsMessage<Error>("[rng] set_states: expected no state to be in use, got 2 forks"));
  EXPECT_EQ(rng_.get_states().size(), 2U);
}

}  // namespace
}  // namespace retape::checkpointing
