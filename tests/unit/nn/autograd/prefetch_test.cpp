// The order in which backward asks stores for values, and what comes of a store that fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "nn/base/error.h"
#include "tests/unit/nn/autograd/tape_case.h"

namespace retape::nn {
namespace {

using toy::DoubleReadingInput;
using toy::DoubleReadingNothing;

using Lines = std::vector<std::string>;

// Writes down what it is asked for, by the value's name where it has one of its own or else by the region that reads
// it, and lets go of what is inside regions.
class RecordingStore final : public SavedStore, public RetentionPolicy {
 public:
  explicit RecordingStore(Lines& lines, RegionGrouping grouping = {}) : lines_(lines), grouping_(grouping) {}
  RegionGrouping grouping() const override { return grouping_; }
  Decision decide(const ValueInfo& value) const override {
    if (value.home->depth > 0) {
      return {.what = Retain::recompute};
    }
    return value.reader->depth > 0 ? Decision{.what = Retain::store, .store = const_cast<RecordingStore*>(this)}
                                   : Decision{};
  }
  std::unique_ptr<SavedValue> save(Tensor value, const ValueInfo& info) override {
    if (failures_ > 0) {
      --failures_;
      throw OutOfMemory("the store is full");
    }
    // In memory of its own: what is still where it was need not be fetched.
    Tensor copy(value.device(), value.shape(), value.dtype(), Tag::checkpoints);
    value.device().copy(copy.data(), value.data(), value.bytes());
    return std::make_unique<Saved>(*this, std::move(copy),
                                   info.name == info.op ? info.reader->name : std::string(info.name));
  }
  void fail_next(int saves) { failures_ = saves; }

 private:
  class Saved final : public SavedValue {
   public:
    Saved(RecordingStore& store, Tensor value, std::string region)
        : store_(store), value_(std::move(value)), region_(std::move(region)) {}
    ~Saved() override { store_.lines_.push_back("release " + region_); }
    Tensor fetch() override {
      store_.lines_.push_back("fetch " + region_);
      return value_;
    }
    void prefetch() override { store_.lines_.push_back("prefetch " + region_); }

   private:
    RecordingStore& store_;
    Tensor value_;
    std::string region_;
  };
  Lines& lines_;
  RegionGrouping grouping_;
  int failures_ = 0;
};

// Writes down which region backward comes to.
class Visits final : public TapeObserver {
 public:
  explicit Visits(Lines& lines) : lines_(lines) {}
  void on_event(const TapeEvent& event) override {
    const std::string line = "backward " + event.region->name;
    if (event.work == TapeEvent::Work::backward && event.region->depth > 0 &&
        (lines_.empty() || lines_.back() != line)) {
      lines_.push_back(line);
    }
  }

 private:
  Lines& lines_;
};

class Prefetch : public TapeCase {
 protected:
  template <class Op>
  Var named(Tape& tape, Var x, std::string_view name) {
    return tape.run<Op>({&log_, 0}, {std::move(x)}, name);
  }
  // All but what is differentiated.
  Lines asked() const {
    Lines asked;
    std::copy_if(lines_.begin(), lines_.end(), std::back_inserter(asked),
                 [](const std::string& line) { return !line.starts_with("backward"); });
    return asked;
  }

  Lines lines_;
  Visits visits_{lines_};
};

TEST_F(Prefetch, ComesOneRegionAhead) {
  RecordingStore store(lines_);
  Tape tape(context_, {.policy = &store, .observer = &visits_});
  Var x = start(tape);
  for (int layer = 0; layer < 4; ++layer) {
    x = block(tape, std::move(x), layer, 2);
  }
  tape.backward(std::move(x));
  EXPECT_EQ(lines_, (Lines{"prefetch h.3", "prefetch h.2", "fetch h.3", "backward h.3", "release h.3",  //
                           "prefetch h.1", "fetch h.2", "backward h.2", "release h.2",                  //
                           "prefetch h.0", "fetch h.1", "backward h.1", "release h.1",                  //
                           "fetch h.0", "backward h.0", "release h.0"}));
  EXPECT_EQ(take_gradient(), 512);
}

TEST_F(Prefetch, ComesOneGroupAhead) {
  for (const bool merged : {true, false}) {
    lines_.clear();
    RecordingStore store(lines_, {.size = 2, .merged = merged});
    Tape tape(context_, {.policy = &store});
    Var x = start(tape);
    for (int layer = 0; layer < 6; ++layer) {
      x = block(tape, std::move(x), layer, 2);
    }
    tape.backward(std::move(x));
    // Where members are regions of their own, the first of a group is what reads its input.
    const auto name = [&](int group) {
      return merged ? "group." + std::to_string(group) : "h." + std::to_string(2 * group);
    };
    Lines asked;
    std::copy_if(lines_.begin(), lines_.end(), std::back_inserter(asked),
                 [](const std::string& line) { return !line.starts_with("release"); });
    if (merged) {
      EXPECT_EQ(asked, (Lines{"prefetch " + name(2), "prefetch " + name(1), "fetch " + name(2),  //
                              "prefetch " + name(0), "fetch " + name(1), "fetch " + name(0)}));
    }
    for (int group = 0; group < 3; ++group) {
      EXPECT_EQ(std::count(asked.begin(), asked.end(), "fetch " + name(group)), 1) << group;
    }
  }
}

TEST_F(Prefetch, ASecondBackwardAsksAgain) {
  RecordingStore store(lines_);
  Tape tape(context_, {.policy = &store, .observer = &visits_});
  const Var x = block(tape, block(tape, start(tape), 0, 2), 1, 2);
  const Lines once{"prefetch h.1", "prefetch h.0", "fetch h.1", "backward h.1", "fetch h.0", "backward h.0"};
  tape.backward(x, {.retain = true});
  EXPECT_EQ(lines_, once);
  lines_.clear();
  tape.backward(x, {.retain = true});
  EXPECT_EQ(lines_, once);
  EXPECT_EQ(take_gradient(), 64);
}

TEST_F(Prefetch, AsksForNothingThatTheProgramHolds) {
  RecordingStore store(lines_);
  Tape tape(context_, {.policy = &store, .observer = &visits_});
  const Var x = start(tape);
  tape.backward(block(tape, x, 0, 2));
  EXPECT_EQ(lines_, (Lines{"backward h.0", "release h.0"}));
}

// Two of the values that h.0 reads are read above it, by h.1: they come with what that one needs.
TEST_F(Prefetch, ComesBeforeTheFirstToNeedItWhoeverReadItFirst) {
  RecordingStore store(lines_);
  Tape tape(context_, {.policy = &store, .observer = &visits_});
  const Var from = start(tape);
  Var a = named<DoubleReadingNothing>(tape, from, "a");
  Var b = named<DoubleReadingNothing>(tape, from, "b");
  Var c;
  Var d;
  {
    const RegionScope region = tape.region("h.0");
    c = named<DoubleReadingInput>(tape, sum(tape, apply<DoubleReadingInput>(tape, a, 1), b, 2), "c");
  }
  {
    const RegionScope region = tape.region("h.1");
    c = apply<DoubleReadingInput>(tape, sum(tape, apply<DoubleReadingInput>(tape, std::move(c), 3), a, 4), 5);
    d = named<DoubleReadingInput>(tape, sum(tape, std::move(c), std::move(b), 6), "d");
  }
  {
    const RegionScope region = tape.region("h.2");
    d = apply<DoubleReadingInput>(tape, std::move(d), 7);
  }
  a = Var();
  tape.backward(std::move(d));
  EXPECT_EQ(asked(), (Lines{"prefetch d", "prefetch c", "prefetch b", "prefetch a", "fetch d", "release d",  //
                            "fetch b", "fetch a", "fetch c", "release c", "release b", "release a"}));
}

// y and z are let go at nodes above the region that read them first, where backward once asked for them.
TEST_F(Prefetch, AsksForNothingThatHasBeenLetGo) {
  for (const bool twice : {false, true}) {
    lines_.clear();
    slot_ = {};
    RecordingStore store(lines_);
    Tape tape(context_, {.policy = &store, .observer = &visits_});
    Var x = named<DoubleReadingNothing>(tape, start(tape), "x");
    Var y;
    Var z;
    {
      const RegionScope region = tape.region("h.0");
      y = named<toy::DoubleReadingOutput>(tape, x, "y");
      z = named<DoubleReadingInput>(tape, y, "z");
    }
    {
      const RegionScope region = tape.region("h.1");
      Var unused = named<DoubleReadingInput>(tape, z, "unused");
      z = sum(tape, std::move(z), std::move(y), 1);
    }
    {
      const RegionScope region = tape.region("h.2");
      z = sum(tape, apply<DoubleReadingInput>(tape, std::move(x), 2), std::move(z), 3);
    }
    if (twice) {
      tape.backward(z, {.retain = true});
    }
    tape.backward(std::move(z));
    EXPECT_EQ(take_gradient(), (twice ? 2 : 1) * 2 * 2 * (2 + 2 + 4));
    const auto count = [&](const char* line) { return std::count(lines_.begin(), lines_.end(), line); };
    for (const std::string value : {"x", "y", "z"}) {
      const auto released = std::find(lines_.begin(), lines_.end(), "release " + value);
      EXPECT_EQ(std::find(released, lines_.end(), "prefetch " + value), lines_.end()) << value;
      EXPECT_EQ(count(("prefetch " + value).c_str()), count(("fetch " + value).c_str())) << value;
    }
  }
}

TEST_F(Prefetch, AsksForNothingThatOnlyDeadEndsRead) {
  RecordingStore store(lines_);
  Tape tape(context_, {.policy = &store, .observer = &visits_});
  Var x = named<DoubleReadingNothing>(tape, start(tape), "x");
  {
    const RegionScope region = tape.region("h.0");
    const Var unused = apply<DoubleReadingInput>(tape, apply<DoubleReadingInput>(tape, x, 0), 1);
    x = apply<DoubleReadingNothing>(tape, std::move(x), 2);
  }
  tape.backward(std::move(x));
  EXPECT_EQ(asked(), (Lines{"release x"}));
}

// The cheap way to outer reads inner alone, so that nobody needs what inner was made from.
TEST_F(Prefetch, AsksForWhatTheCheapWayReads) {
  RecordingStore store(lines_);
  Tape tape(context_, {.policy = &store, .observer = &visits_});
  Var x = named<DoubleReadingNothing>(tape, start(tape), "x");
  {
    const RegionScope region = tape.region("h.0");
    x = apply<toy::TwoStage>(tape, std::move(x), 0);
    x = apply<DoubleReadingInput>(tape, std::move(x), 1);
  }
  tape.backward(std::move(x));
  EXPECT_EQ(asked(), (Lines{"prefetch x", "fetch x", "release x"}));
}

// The store fails where a region is closed: here nothing in the region reads its input, so that only then it is asked.
class StoreFailure : public Prefetch {
 protected:
  Var inside(Tape& tape, Var x, int id) {
    return apply<DoubleReadingInput>(tape, apply<DoubleReadingNothing>(tape, std::move(x), id), id + 1);
  }
};

TEST_F(StoreFailure, InAnExplicitCloseLeavesTheTapeOutsideTheRegionAndUsable) {
  RecordingStore store(lines_);
  BlockMeter meter(device_);
  Tape tape(context_, {.policy = &store});
  Var x = start(tape);
  {
    RegionScope outer = tape.region("outer");
    RegionScope region = tape.region("h.0");
    x = inside(tape, std::move(x), 0);
    store.fail_next(1);
    EXPECT_THROW(region.close(), OutOfMemory);
    EXPECT_EQ(tape.depth(), 1);
    EXPECT_THROW(region.close(), Error);
    x = inside(tape, std::move(x), 2);
    outer.close();
    EXPECT_EQ(tape.depth(), 0);
  }
  {
    RegionScope region = tape.region("h.1");
    x = inside(tape, std::move(x), 4);
    region.close();
  }
  tape.backward(std::move(x));
  EXPECT_EQ(take_gradient(), 128);
  EXPECT_EQ(meter.live(), 0);
}

TEST_F(StoreFailure, InADestructorEndsTheTapeAndIsThrownAtItsNextUse) {
  RecordingStore store(lines_);
  BlockMeter meter(device_);
  Tape tape(context_, {.policy = &store});
  Var x = start(tape);
  {
    const RegionScope region = tape.region("h.0");
    x = inside(tape, std::move(x), 0);
    store.fail_next(1);
  }
  for (int use = 0; use < 2; ++use) {
    EXPECT_THAT([&] { (void)tape.region("h.1"); }, testing::ThrowsMessage<OutOfMemory>("the store is full"));
    EXPECT_THAT([&] { tape.backward(x); }, testing::ThrowsMessage<OutOfMemory>("the store is full"));
  }
  EXPECT_EQ(meter.live(), 1);  // x, which the program holds
}

// The scopes around it, and values that the program holds, outlive the tape's end.
TEST_F(StoreFailure, InADestructorIsSurvivedByTheScopesAround) {
  RecordingStore store(lines_);
  Tape tape(context_, {.policy = &store});
  Var x = start(tape);
  {
    RegionScope outer = tape.region("outer");
    const RegionScope middle = tape.region("middle");
    {
      const RegionScope inner = tape.region("inner");
      x = inside(tape, std::move(x), 0);
      store.fail_next(1);
    }
    EXPECT_THROW(inside(tape, x, 2), OutOfMemory);
    EXPECT_THAT([&] { outer.close(); },
                testing::ThrowsMessage<Error>("[tape] region: expected a region of a live tape, got one whose tape has "
                                              "ended"));
  }
  EXPECT_THROW(inside(tape, x, 2), OutOfMemory);
}

TEST_F(StoreFailure, AScopeOutlivesItsTapeWhileTheProgramHoldsValues) {
  RecordingStore store(lines_);
  std::optional<Tape> tape(std::in_place, context_, TapeOptions{.policy = &store});
  const Var x = start(*tape);
  std::optional<RegionScope> scope(tape->region("h.0"));
  tape.reset();
  EXPECT_THROW(scope->close(), Error);
  scope.reset();
  EXPECT_EQ(x.data().to_host<float>().front(), 2);
}

// A group is closed by the op after it, or by backward, which throw what fails and may be called again.
TEST_F(StoreFailure, WhereAGroupEndsIsThrownByWhatEndsIt) {
  RecordingStore store(lines_, {.size = 2, .merged = true});
  BlockMeter meter(device_);
  Tape tape(context_, {.policy = &store});
  Var x = start(tape);
  const auto add_region = [&](int id) {
    const RegionScope region = tape.region("h");
    x = inside(tape, std::move(x), id);
  };
  add_region(0);
  store.fail_next(1);
  EXPECT_THROW(apply<DoubleReadingNothing>(tape, x, 2), OutOfMemory);
  EXPECT_EQ(tape.depth(), 0);
  x = apply<DoubleReadingNothing>(tape, std::move(x), 2);
  add_region(3);
  store.fail_next(1);
  EXPECT_THROW(tape.backward(x), OutOfMemory);
  EXPECT_EQ(tape.depth(), 0);
  tape.backward(std::move(x));
  EXPECT_EQ(take_gradient(), 64);
  EXPECT_EQ(meter.live(), 0);
}

}  // namespace
}  // namespace retape::nn
