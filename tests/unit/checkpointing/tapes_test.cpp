// Which tapes checkpoint() takes, and that it leaves its arguments to their owner.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "nn/base/error.h"
#include "tests/unit/checkpointing/probe.h"
#include "tests/unit/checkpointing/rank.h"

namespace retape::checkpointing {
namespace {

using nn::Tape;
using nn::Var;
using ::testing::ThrowsMessage;

class CheckpointedTapes : public ::testing::Test {
 protected:
  Var call(Tape& tape, Var x) {
    return checkpointer_.checkpoint(
        tape, [&](Var a) { return probes_.probe(tape, probes_.probe(tape, std::move(a), 1), 2); }, std::move(x));
  }
  // Refused, and as usable as before.
  void expect_refused(Tape& tape, const std::string& message) {
    const Var x = probes_.leaf(tape, {64});
    EXPECT_THAT([&] { (void)call(tape, x); }, ThrowsMessage<Error>(message));
    EXPECT_EQ(tape.depth(), 0);
    tape.backward(probes_.loss(tape, probes_.probe(tape, x)));
    EXPECT_EQ(probes_.take_gradient().size(), 64U);
  }
  void expect_taken(Tape& tape) {
    tape.backward(probes_.loss(tape, call(tape, probes_.leaf(tape, {64}))));
    EXPECT_EQ(probes_.take_gradient().size(), 64U);
  }

  Rank rank_;
  Checkpointer& checkpointer_ = rank_.checkpointer;
  Probes probes_{rank_};
  const std::string another_ =
      "[checkpointing] checkpoint: expected a tape made after configure() with tape_options(), got another: write Tape "
      "tape(context, checkpointer.tape_options())";
};

TEST_F(CheckpointedTapes, AreRefusedWithoutTheOptionsWhateverIsSet) {
  for (const Overrides& settings : {Overrides{}, Overrides{.profile = true},
                                    Overrides{.cpu_checkpointing = true, .synchronize_checkpoint_boundary = true}}) {
    checkpointer_.configure(settings);
    Tape plain(rank_.context);
    expect_refused(plain, another_);
  }
}

TEST_F(CheckpointedTapes, AreRefusedWithTheOptionsOfAnother) {
  Rank other;
  other.checkpointer.configure();
  checkpointer_.configure();
  Tape tape(rank_.context, other.checkpointer.tape_options());
  expect_refused(tape, another_);
}

TEST_F(CheckpointedTapes, AreRefusedWhereTheyWereMadeBeforeConfigure) {
  Tape early(rank_.context, checkpointer_.tape_options());
  checkpointer_.configure({.profile = true});
  expect_refused(early, another_);
  Tape tape(rank_.context, checkpointer_.tape_options());
  expect_taken(tape);
  EXPECT_GT(checkpointer_.take_profile().total().forward.count(), 0);
}

// Settings may change between two blocks of a step, which is profiled whole or not at all.
TEST_F(CheckpointedTapes, AreTakenAfterAnotherConfigure) {
  for (const bool profile : {true, false}) {
    checkpointer_.configure({.profile = profile});
    Tape tape(rank_.context, checkpointer_.tape_options());
    checkpointer_.configure({.cpu_checkpointing = true, .profile = !profile});
    expect_taken(tape);
    EXPECT_EQ(checkpointer_.take_profile().total().backward.count() > 0, profile);
  }
}

TEST_F(CheckpointedTapes, ThatRecordNothingMayBeAny) {
  checkpointer_.configure({.profile = true});
  Tape tape(rank_.context, {.record = false});
  EXPECT_EQ(call(tape, probes_.leaf(tape, {64})).shape(), (nn::Shape{64}));
}

TEST_F(CheckpointedTapes, MayHaveAnotherObserverWhereNothingIsWatched) {
  class Counter final : public nn::TapeObserver {
   public:
    void on_event(const nn::TapeEvent& /*event*/) override { ++events; }
    int events = 0;
  };
  for (const bool held : {false, true}) {
    const auto counter = std::make_shared<Counter>();
    const auto observed = [&] {
      nn::TapeOptions options = checkpointer_.tape_options();
      options.observer = counter.get();
      return options;
    };
    checkpointer_.configure();
    nn::TapeOptions own = observed();
    own.held = held ? counter : nullptr;
    Tape tape(rank_.context, own);
    expect_taken(tape);
    EXPECT_GT(counter->events, 0);
    for (const Overrides& watched : {Overrides{.profile = true}, Overrides{.synchronize_checkpoint_boundary = true}}) {
      checkpointer_.configure(watched);
      Tape blind(rank_.context, observed());
      expect_refused(blind,
                     "[checkpointing] checkpoint: expected the observer of tape_options(), which profiles or "
                     "synchronizes, got another");
    }
  }
}

// An argument that the caller keeps is as it was, in whatever way the region's input is stored.
TEST(Checkpoint, LeavesTheCallersVarAlone) {
  with_every_store([](Rank& rank) {
    Probes probes(rank);
    Tape tape(rank.context, rank.checkpointer.tape_options());
    Var x = probes.probe(tape, probes.leaf(tape, {64}));
    const std::vector<float> before = x.data().to_host<float>();
    const void* place = x.data().data();
    const auto twice = [&](const Var& a, Var b) { return Probes::sum(tape, probes.probe(tape, a), std::move(b)); };
    Var y = rank.checkpointer.checkpoint(tape, twice, x, x);
    ASSERT_TRUE(x.data().defined());
    EXPECT_EQ(x.data().data(), place);
    EXPECT_EQ(x.data().to_host<float>(), before);
    tape.backward(probes.loss(tape, Probes::sum(tape, std::move(y), x)));
    EXPECT_EQ(x.data().to_host<float>(), before);
  });
}

}  // namespace
}  // namespace retape::checkpointing
