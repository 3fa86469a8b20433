// What an observer is told.
#include "nn/autograd/observer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <tuple>

#include "nn/base/error.h"
#include "tests/support/policies.h"
#include "tests/unit/nn/autograd/tape_case.h"

namespace retape::nn {
namespace {

using Work = TapeEvent::Work;
using toy::DoubleReadingInput;

class Recorder final : public TapeObserver {
 public:
  using Entry = std::tuple<Work, std::string, std::string>;  // with the op and the region
  void on_event(const TapeEvent& event) override {
    entries.emplace_back(event.work, event.op, event.region->name);
    EXPECT_GE(event.time.count(), 0);
    forward_flops += event.work == Work::forward ? event.flops : 0;
    rebuilt_flops += event.work == Work::rebuild ? event.flops : 0;
    if (event.work == fail_at) {
      throw std::runtime_error("the observer");
    }
  }
  std::vector<Entry> of(Work work) const {
    std::vector<Entry> found;
    std::copy_if(entries.begin(), entries.end(), std::back_inserter(found),
                 [work](const Entry& entry) { return std::get<0>(entry) == work; });
    return found;
  }
  std::vector<Entry> entries;
  Flops forward_flops = 0;
  Flops rebuilt_flops = 0;
  void on_boundary(const Region& region) override {
    if (region.name == fail_at_boundary_of) {
      throw std::runtime_error("the observer");
    }
  }
  std::optional<Work> fail_at;
  std::string fail_at_boundary_of = "none";
};

class ObserverTest : public TapeCase {};

TEST_F(ObserverTest, SeesEachOpOnceWithItsRegion) {
  const DropInRegions policy;
  Recorder recorder;
  Tape tape(context_, {.policy = &policy, .observer = &recorder});
  Var x = block(tape, block(tape, start(tape), 0, 3), 1, 3);
  x = sum(tape, x, x, 90);
  tape.backward(std::move(x));
  const auto entry = [](Work work, const char* op, const char* region) { return Recorder::Entry{work, op, region}; };
  std::vector<Recorder::Entry> expected{entry(Work::forward, "double", "")};
  const auto repeat = [&](int times, const Recorder::Entry& value) { expected.insert(expected.end(), times, value); };
  repeat(3, entry(Work::forward, "double", "h.0"));
  repeat(3, entry(Work::forward, "double", "h.1"));
  repeat(1, entry(Work::forward, "sum", ""));
  repeat(1, entry(Work::backward, "sum", ""));
  for (const char* region : {"h.1", "h.0"}) {
    repeat(2, entry(Work::rebuild, "double", region));
    repeat(3, entry(Work::backward, "double", region));
  }
  repeat(1, entry(Work::backward, "double", ""));
  EXPECT_EQ(recorder.entries, expected);
}

TEST_F(ObserverTest, CountsWhatTheTapeCounts) {
  for (const bool drop : {false, true}) {
    const DropInRegions policy;
    Recorder recorder;
    log_ = {};
    Tape tape(context_, {.policy = drop ? &policy : nullptr, .observer = &recorder});
    Var x = start(tape);
    for (int layer = 0; layer < 4; ++layer) {
      x = block(tape, std::move(x), layer, 5);
    }
    tape.backward(std::move(x));
    const TapeStats& stats = tape.stats();
    EXPECT_EQ(recorder.forward_flops, stats.forward_flops);
    EXPECT_EQ(recorder.rebuilt_flops, stats.rebuilt_flops);
    EXPECT_EQ(recorder.of(Work::forward).size(), static_cast<std::size_t>(stats.forward_ops));
    EXPECT_EQ(recorder.of(Work::rebuild).size(), static_cast<std::size_t>(stats.rebuilt_ops));
    EXPECT_EQ(stats.forward_ops, 21);
    EXPECT_EQ(stats.rebuilt_ops, drop ? 16 : 0);
    EXPECT_EQ(recorder.of(Work::backward).size(), log_.backward.size());
    EXPECT_EQ(recorder.of(Work::forward).size() + recorder.of(Work::rebuild).size(), log_.forward.size());
  }
}

TEST_F(ObserverTest, SeesTheFlopsOfACheapRebuild) {
  const DropNamed policy("outer");
  Recorder recorder;
  Tape tape(context_, {.policy = &policy, .observer = &recorder});
  Var x = apply<toy::TwoStage>(tape, tape.leaf(scalar(1), &slot_), 1);
  tape.backward(apply<DoubleReadingInput>(tape, std::move(x), 2));
  EXPECT_EQ(recorder.of(Work::rebuild).size(), 1U);
  EXPECT_EQ(recorder.rebuilt_flops, 3);  // of one element
  EXPECT_EQ(tape.stats().rebuilt_ops, 1);
}

TEST_F(ObserverTest, SeesNothingOfAGradientThatNobodyWants) {
  Recorder recorder;
  Tape tape(context_, {.record = false, .observer = &recorder});
  (void)block(tape, start(tape), 0, 2);
  EXPECT_EQ(recorder.entries.size(), 3U);
  EXPECT_EQ(recorder.of(Work::forward).size(), 3U);
}

TEST_F(ObserverTest, ThatThrowsEndsBackwardAndUndoesAnOp) {
  for (const Work work : {Work::rebuild, Work::backward}) {
    const DropInRegions policy;
    Recorder recorder;
    BlockMeter meter(device_);
    Tape tape(context_, {.policy = &policy, .observer = &recorder});
    Var x = block(tape, start(tape), 0, 3);
    recorder.fail_at = work;
    EXPECT_THROW(tape.backward(std::move(x)), std::runtime_error);
    EXPECT_EQ(meter.live(), 0);
    EXPECT_THROW(tape.leaf(scalar(1)), Error);
    slot_ = {};
  }
  Recorder recorder;
  Tape tape(context_, {.observer = &recorder});
  const Var x = start(tape);
  recorder.fail_at = Work::forward;
  EXPECT_THROW(apply<toy::AddNoise>(tape, x, 1), std::runtime_error);
  EXPECT_EQ(context_.generator().state(), (RngState{7, 0}));
  recorder.fail_at.reset();
  tape.backward(apply<DoubleReadingInput>(tape, x, 2));
  EXPECT_EQ(take_gradient(), 4);
}

TEST_F(ObserverTest, ThatThrowsWhereARegionWouldOpenLeavesItClosed) {
  Recorder recorder;
  Tape tape(context_, {.observer = &recorder});
  Var x = start(tape);
  recorder.fail_at_boundary_of = "h.0";
  EXPECT_THROW((void)tape.region("h.0"), std::runtime_error);
  EXPECT_EQ(tape.depth(), 0);
  EXPECT_EQ(tape.region_count(), 0);
  recorder.fail_at_boundary_of = "none";
  tape.backward(block(tape, std::move(x), 0, 1));
  EXPECT_EQ(take_gradient(), 4);
  EXPECT_THROW((void)tape.depth(), Error);
}

TEST_F(ObserverTest, MayLiveAsLongAsItsTape) {
  auto recorder = std::make_shared<Recorder>();
  const std::weak_ptr<Recorder> alive = recorder;
  {
    Tape tape(context_, {.observer = recorder.get(), .held = recorder});
    recorder.reset();
    (void)start(tape);
    EXPECT_EQ(alive.lock()->entries.size(), 1U);
  }
  EXPECT_TRUE(alive.expired());
}

}  // namespace
}  // namespace retape::nn
