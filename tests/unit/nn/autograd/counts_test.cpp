// That nothing is done twice and nothing is held longer than it is needed. The gradients are right either way, so what
// is compared is how often ops ran, and how many values there are while each node is differentiated.
#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "nn/base/error.h"
#include "tests/support/policies.h"
#include "tests/unit/nn/autograd/tape_case.h"

namespace retape::nn {
namespace {

using toy::DoubleReadingInput;
using toy::DoubleReadingNothing;
using toy::DoubleReadingOutput;

// y = 2 x and aux = y + 1. Backward reads aux, which can be made from y.
struct Mirror {
  static constexpr OpTraits kTraits{.name = "mirror"};
  static constexpr std::array<std::string_view, 2> kOutputs{"mirror", "aux"};
  static constexpr std::array<Rebuild, 1> kRebuilds{Rebuild{.output = 1, .from = {.inputs = 0, .outputs = bits({0})}}};
  using Args = toy::LoggedArgs;
  static constexpr int kRebuildId = 1000;  // logged, plus the id, when the cheap way is taken
  static Reads reads(const Args& /*args*/) { return {.inputs = 0, .outputs = bits({1})}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs) {
    args.log->forward.push_back(args.id);
    Tensor y = made(context, 2 * *inputs[0].data_as<float>());
    Tensor aux = made(context, *y.data_as<float>() + 1);
    return {std::move(y), std::move(aux)};
  }
  static Tensor rebuild(Context& context, const Args& args, int /*output*/, const Saved& saved) {
    args.log->forward.push_back(kRebuildId + args.id);
    return made(context, *saved.outputs[0].data_as<float>() + 1);
  }
  static void backward(Context& context, const Args& /*args*/, const Saved& saved, Gradients& gradients) {
    const float dy = *gradients.dout(0).data_as<float>();
    gradients.give(0, made(context, dy * *saved.outputs[1].data_as<float>()));
  }
  static Cost cost(const Args& /*args*/, std::span<const Shape> /*inputs*/) { return {.flops = 1}; }

 private:
  static Tensor made(Context& context, float value) {
    Tensor tensor(context.device(), Shape{}, DType::f32, context.output_tag());
    tensor.from_host<float>(std::array{value});
    return tensor;
  }
};

class KeepNothing final : public RetentionPolicy {
 public:
  Decision decide(const ValueInfo& /*value*/) const override { return {.what = Retain::recompute}; }
};

// The values there are when each node has been differentiated, what it alone needed included.
class LiveValues final : public TapeObserver {
 public:
  explicit LiveValues(Device& device) : meter_(device) {}
  void on_event(const TapeEvent& event) override {
    if (event.work == TapeEvent::Work::backward) {
      live.push_back(static_cast<int>(meter_.live()));
    }
  }
  std::vector<int> live;  // in the order of backward

 private:
  BlockMeter meter_;
};

class Counts : public TapeCase {};

// v is read by the last op, and the block's first op will make its output from it once more.
TEST_F(Counts, AKeptValueStaysForARebuildAfterItsLastRead) {
  const DropInRegions policy;
  Tape tape(context_, {.policy = &policy});
  Var v = apply<DoubleReadingNothing>(tape, start(tape), 0);
  Var y;
  {
    const RegionScope region = tape.region("block");
    y = apply<DoubleReadingInput>(tape, apply<DoubleReadingNothing>(tape, v, 1), 2);
  }
  Var z = sum(tape, std::move(y), apply<DoubleReadingInput>(tape, v, 3), 4);
  v = Var();
  tape.backward(std::move(z));
  EXPECT_EQ(log_.runs(1), 2);
  EXPECT_EQ(log_.runs(0), 1);
  EXPECT_EQ(log_.runs(kStart), 1);
}

// The next op reads y, and is differentiated before aux is made from it.
TEST_F(Counts, AKeptOutputStaysForACheapRebuildAfterItsLastRead) {
  const DropNamed policy("aux");
  Tape tape(context_, {.policy = &policy});
  Var y = tape.run<Mirror>({&log_, 1}, {start(tape)});
  tape.backward(apply<DoubleReadingInput>(tape, std::move(y), 2));
  EXPECT_EQ(log_.runs(1), 1);
  EXPECT_EQ(log_.runs(Mirror::kRebuildId + 1), 1);
}

TEST_F(Counts, WhatTheProgramHoldsIsNotMadeAgain) {
  const KeepNothing policy;
  Tape tape(context_, {.policy = &policy});
  const Var x = apply<DoubleReadingNothing>(tape, start(tape), 0);
  tape.backward(apply<DoubleReadingInput>(tape, x, 1));
  EXPECT_EQ(log_.runs(0), 1);
  EXPECT_EQ(tape.stats().rebuilt_ops, 0);
}

TEST_F(Counts, WhatTheProgramHoldsOpensTheCheapWay) {
  const KeepNothing policy;
  Tape tape(context_, {.policy = &policy});
  const Var y = tape.run<Mirror>({&log_, 1}, {start(tape)});
  tape.backward(apply<DoubleReadingInput>(tape, y, 2));
  EXPECT_EQ(log_.runs(1), 1);
  EXPECT_EQ(log_.runs(Mirror::kRebuildId + 1), 1);
}

// Of v two values are made, of which the program holds the first or not. The last op reads v: for it v is rebuilt, and
// stays only where the first value will be rebuilt from it.
TEST_F(Counts, WhatTheProgramHoldsNeedsNoSource) {
  const KeepNothing policy;
  for (const bool held : {true, false}) {
    LiveValues values(device_);
    log_ = {};
    Tape tape(context_, {.policy = &policy, .observer = &values});
    Var z;
    Var first;
    {
      const RegionScope region = tape.region("block");
      const Var v = apply<DoubleReadingNothing>(tape, start(tape), 0);
      first = apply<DoubleReadingNothing>(tape, v, 1);
      Var y = apply<DoubleReadingInput>(tape, first, 2);
      z = sum(tape, std::move(y), apply<DoubleReadingInput>(tape, v, 3), 4);
    }
    if (!held) {
      first = Var();
    }
    tape.backward(std::move(z));
    EXPECT_EQ(values.live, held ? (std::vector{1, 2, 1, 1, 1, 1}) : (std::vector{0, 1, 1, 0, 0, 0}));
    EXPECT_EQ(log_.runs(0), 2);
    EXPECT_EQ(log_.runs(1), held ? 1 : 2);
  }
}

// Each op reads what it made. The last block has two values of its own, which are gone before the four of the first
// come. What goes into the first is kept, and what goes into the last.
TEST_F(Counts, ARebuiltValueGoesWithItsLastRead) {
  const DropInRegions policy;
  LiveValues values(device_);
  Tape tape(context_, {.policy = &policy, .observer = &values});
  Var x = start(tape);
  for (const int ops : {5, 2}) {
    const RegionScope region = tape.region("block");
    for (int op = 0; op < ops; ++op) {
      x = apply<DoubleReadingOutput>(tape, std::move(x), op);
    }
  }
  tape.backward(std::move(x));
  EXPECT_EQ(values.live, (std::vector{4, 3, 2, 5, 4, 3, 2, 0}));
}

// What could not be recorded reads nothing: no value stays for it, though its place in the order is another's.
TEST_F(Counts, AnOpThatWasNotRecordedHoldsNothing) {
  class FailAtNamed final : public RetentionPolicy {
   public:
    Decision decide(const ValueInfo& value) const override {
      require(value.name != "fails", "the store is full");
      return {.what = Retain::recompute};
    }
  };
  const FailAtNamed policy;
  LiveValues values(device_);
  Tape tape(context_, {.policy = &policy, .observer = &values});
  Var z;
  {
    const RegionScope region = tape.region("block");
    const Var x = start(tape);
    const Var v = apply<DoubleReadingNothing>(tape, x, 0);
    EXPECT_THROW((void)tape.run<DoubleReadingOutput>({&log_, 1}, {v}, "fails"), Error);
    Var y = apply<DoubleReadingInput>(tape, apply<DoubleReadingNothing>(tape, x, 2), 3);
    z = sum(tape, std::move(y), apply<DoubleReadingInput>(tape, v, 4), 5);
  }
  tape.backward(std::move(z));
  EXPECT_EQ(values.live, (std::vector{0, 2, 1, 0, 0, 0}));
}

// Read twice in its region, then outside and in another.
TEST_F(Counts, AStoredValueIsGivenToItsStoreOnceHoweverManyReadIt) {
  CopyingStore store;
  Tape tape(context_, {.policy = &store});
  const Var x = start(tape);
  Var y;
  Var z;
  {
    const RegionScope region = tape.region("first");
    y = apply<DoubleReadingInput>(tape, x, 0);
    z = sum(tape, apply<DoubleReadingInput>(tape, y, 1), apply<DoubleReadingInput>(tape, y, 2), 3);
  }
  z = sum(tape, std::move(z), apply<DoubleReadingInput>(tape, y, 4), 5);
  {
    const RegionScope region = tape.region("second");
    z = sum(tape, std::move(z), apply<DoubleReadingInput>(tape, y, 6), 7);
    z = sum(tape, std::move(z), apply<DoubleReadingInput>(tape, x, 8), 9);
  }
  EXPECT_EQ(store.saves, 2);  // x and y
  tape.backward(std::move(z));
  EXPECT_EQ(store.saves, 2);
  EXPECT_EQ(take_gradient(), 2 * (2 * 4 * 2 + 2));
}

TEST_F(Counts, AStoredValueIsGivenToItsStoreOnce) {
  CopyingStore store;
  Tape tape(context_, {.policy = &store});
  const Var y = block(tape, block(tape, start(tape), 0, 2), 1, 2);
  EXPECT_EQ(store.saves, 4);
  for (int pass = 1; pass <= 3; ++pass) {
    tape.backward(y, {.retain = pass < 3});
    EXPECT_EQ(store.fetches, 4 * pass);
    EXPECT_EQ(store.saves, 4);
  }
}

// With work for each node that grows with the nodes around it, this would take minutes.
TEST_F(Counts, ARegionOfVeryManyNodesIsRebuiltOnce) {
  constexpr int kNodes = 100'000;
  const KeepNothing policy;
  Tape tape(context_, {.policy = &policy});
  tape.backward(block(tape, start(tape), 0, kNodes));
  EXPECT_EQ(tape.stats().rebuilt_ops, kNodes);
  EXPECT_EQ(log_.backward.size(), std::size_t{kNodes} + 1);
}

}  // namespace
}  // namespace retape::nn
