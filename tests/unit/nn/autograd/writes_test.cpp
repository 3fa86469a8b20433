// What is written between forward and backward: contents that backward would read must be those that forward read.
#include <gmock/gmock.h>

#include <functional>

#include "nn/base/error.h"
#include "tests/support/policies.h"
#include "tests/unit/nn/autograd/tape_case.h"

namespace retape::nn {
namespace {

using testing::ThrowsMessage;
using toy::DoubleReadingInput;
using toy::DoubleReadingNothing;
using toy::DoubleReadingOutput;

// y = x, in the same memory; backward reads nothing.
struct Alias {
  static constexpr OpTraits kTraits{.name = "alias"};
  static constexpr std::array<std::string_view, 1> kOutputs{"alias"};
  struct Args {};
  static Reads reads(const Args& /*args*/) { return {}; }
  static Outputs forward(Context& /*context*/, const Args& /*args*/, const Inputs& inputs) { return {inputs[0]}; }
  static void backward(Context& /*context*/, const Args& /*args*/, const Saved& /*saved*/, Gradients& gradients) {
    gradients.give(0, gradients.take_dout(0));
  }
  static Cost cost(const Args& /*args*/, std::span<const Shape> /*inputs*/) { return {}; }
};

// y = x / 2, written from the host; backward reads nothing.
struct Halved {
  static constexpr OpTraits kTraits{.name = "halved"};
  static constexpr std::array<std::string_view, 1> kOutputs{"halved"};
  struct Args {};
  static Reads reads(const Args& /*args*/) { return {}; }
  static Outputs forward(Context& context, const Args& /*args*/, const Inputs& inputs) {
    return {half_of(context, inputs[0])};
  }
  static void backward(Context& context, const Args& /*args*/, const Saved& /*saved*/, Gradients& gradients) {
    gradients.give(0, half_of(context, gradients.dout(0)));
  }
  static Cost cost(const Args& /*args*/, std::span<const Shape> /*inputs*/) { return {}; }

 private:
  static Tensor half_of(Context& context, const Tensor& x) {
    Tensor y(context.device(), Shape{}, DType::f32, context.output_tag());
    y.from_host<float>(std::array{*x.data_as<float>() / 2});
    return y;
  }
};

class Store final : public RetentionPolicy {
 public:
  Decision decide(const ValueInfo& /*value*/) const override { return {.what = Retain::store, .store = &store_}; }

 private:
  mutable KeepInPlaceStore store_;
};

class Writes : public TapeCase {
 protected:
  static void write(Tensor& tensor, float value) { tensor.from_host<float>(std::array{value}); }

  Tensor x_ = scalar(1);
};

TEST_F(Writes, ToWhatBackwardReadsAreRefusedInEveryForm) {
  Tensor whole(device_, Shape{2}, DType::f32, Tag::parameters);
  whole.fill_zero();
  const Tensor view(std::make_shared<Storage>(whole.storage(), sizeof(float)), Shape{}, DType::f32);
  const Tensor inner(std::make_shared<Storage>(view.storage(), 0), Shape{}, DType::f32);
  const auto expect_refused = [&](const Tensor& data, const std::function<void()>& write) {
    Tape tape(context_);
    Var y = tape.leaf(data, &slot_, "wte");
    {
      const RegionScope region = tape.region("h.0");
      y = apply<DoubleReadingInput>(tape, std::move(y), 0);
    }
    write();
    EXPECT_THAT([&] { tape.backward(std::move(y)); },
                ThrowsMessage<Error>("[double] wte: expected the contents that forward read in region h.0, got ones "
                                     "that were written before its backward"));
    EXPECT_FALSE(slot_.gradient.defined());
    EXPECT_THROW(tape.leaf(scalar(1)), Error);
  };
  expect_refused(x_, [&] { write(x_, 2); });
  expect_refused(x_, [&] { x_.fill_zero(); });
  expect_refused(x_, [&] {
    *x_.data_as<float>() = 3;
    x_.note_write();
  });
  for (const Tensor& data : {view, inner}) {
    for (const Tensor& to : {view, inner, whole}) {
      expect_refused(data, [&] { to.note_write(); });
    }
  }
}

TEST_F(Writes, ToAnInputWithoutAGradientOrANameAreRefused) {
  const DropInRegions policy;
  for (const bool named : {true, false}) {
    Tape tape(context_, {.policy = &policy});
    const Var mask = tape.leaf(x_, nullptr, named ? "mask" : "");
    Var y = start(tape);
    {
      const RegionScope region = tape.region("h.0");
      y = apply<DoubleReadingInput>(tape, sum(tape, std::move(y), mask, 0), 1);
    }
    write(x_, 2);
    EXPECT_THAT([&] { tape.backward(std::move(y)); },
                ThrowsMessage<Error>("[sum] " + std::string(named ? "mask" : "input 1") +
                                     ": expected the contents that forward read in region h.0, got ones that were "
                                     "written before its rebuild for backward"));
  }
}

// The op's own backward reads nothing, but what it made is read and was let go.
TEST_F(Writes, ToWhatARebuildReadsAreRefusedAndToWhatNobodyReadsAreNot) {
  const DropInRegions policy;
  for (const bool drop : {false, true}) {
    Tape tape(context_, {.policy = drop ? &policy : nullptr});
    Var y = tape.leaf(x_, &slot_, "x");
    {
      const RegionScope region = tape.region("h.0");
      y = apply<DoubleReadingInput>(tape, apply<DoubleReadingNothing>(tape, std::move(y), 0), 1);
    }
    write(x_, 2);
    if (drop) {
      EXPECT_THROW(tape.backward(std::move(y)), Error);
    } else {
      tape.backward(std::move(y));
      EXPECT_EQ(take_gradient(), 4);
    }
  }
}

TEST_F(Writes, ToWhatOnlyACheaperRebuildPassesByAreNoError) {
  const DropNamed policy("outer");
  Tape tape(context_, {.policy = &policy});
  Var y = apply<toy::TwoStage>(tape, tape.leaf(x_, &slot_, "x"), 1);
  y = apply<DoubleReadingInput>(tape, std::move(y), 2);
  write(x_, 2);
  tape.backward(std::move(y));
  EXPECT_EQ(log_.runs(toy::TwoStage::kRebuildId + 1), 1);
  EXPECT_EQ(take_gradient(), 4);
}

TEST_F(Writes, ToWhatIsNotDifferentiatedAreNoError) {
  Tape tape(context_);
  const Var aside = apply<DoubleReadingInput>(tape, tape.leaf(x_, &slot_, "x"), 0);
  Tensor other = scalar(3);
  Var y = apply<DoubleReadingInput>(tape, tape.leaf(other, &slot_, "other"), 1);
  write(x_, 2);
  tape.backward(std::move(y));
  EXPECT_EQ(take_gradient(), 2);
}

TEST_F(Writes, BetweenTwoPassesAreSeenByTheSecond) {
  Tape tape(context_);
  const Var y = apply<DoubleReadingInput>(tape, tape.leaf(x_, &slot_, "x"), 0);
  tape.backward(y, {.retain = true});
  tape.backward(y, {.retain = true});
  EXPECT_EQ(take_gradient(), 4);
  write(x_, 2);
  EXPECT_THROW(tape.backward(y), Error);
}

TEST_F(Writes, BetweenTwoTapesConcernTheFirstAlone) {
  Tape first(context_);
  Tape second(context_);
  Var y = apply<DoubleReadingInput>(first, first.leaf(x_, &slot_, "x"), 0);
  write(x_, 2);
  Var z = apply<DoubleReadingInput>(second, second.leaf(x_, &slot_, "x"), 1);
  second.backward(std::move(z));
  EXPECT_EQ(take_gradient(), 2);
  EXPECT_THROW(first.backward(std::move(y)), Error);
}

// Before its first use; and after one whose backward does not read it, which leaves the later use right.
TEST_F(Writes, BeforeTheUseThatReadsAreNoError) {
  Tape tape(context_);
  const Var x = tape.leaf(x_, &slot_, "x");
  write(x_, 2);
  const Var before = apply<DoubleReadingNothing>(tape, x, 0);
  write(x_, 3);
  const Var after = apply<DoubleReadingInput>(tape, x, 1);
  const Var again = apply<DoubleReadingInput>(tape, x, 2);
  EXPECT_EQ(before.data().to_host<float>().front(), 4);
  EXPECT_EQ(after.data().to_host<float>().front(), 6);
  tape.backward(sum(tape, sum(tape, before, after, 3), again, 4));
  EXPECT_EQ(take_gradient(), 6);
}

TEST_F(Writes, BetweenTwoUsesThatReadAreRefused) {
  Tape tape(context_);
  const Var x = tape.leaf(x_, &slot_, "x");
  const Var before = apply<DoubleReadingInput>(tape, x, 0);
  write(x_, 2);
  const Var after = apply<DoubleReadingInput>(tape, x, 1);
  EXPECT_THROW(tape.backward(sum(tape, before, after, 2)), Error);
}

TEST_F(Writes, ToMemoryThatAnOpPassesOnAreRefusedWhereverItIsHeld) {
  const Store store;
  const DropNamed drop("alias");
  for (const RetentionPolicy* policy : std::initializer_list<const RetentionPolicy*>{nullptr, &store, &drop}) {
    for (const bool program_holds : {false, true}) {
      Tape tape(context_, {.policy = policy});
      Var alias = tape.run<Alias>({}, {tape.leaf(x_, &slot_, "x")});
      Var y = apply<DoubleReadingInput>(tape, alias, 0);
      if (!program_holds) {
        alias = Var();
      }
      write(x_, 2);
      EXPECT_THROW(tape.backward(std::move(y)), Error);
    }
  }
}

// What an op writes by itself is no write: the copy of it that a store gives back has never been written.
TEST_F(Writes, ByTheOpThatMadeAValueAreNoError) {
  CopyingStore store;
  Tape tape(context_, {.policy = &store});
  Var x = tape.run<Halved>({}, {tape.leaf(x_, &slot_, "x")});
  Var y = apply<DoubleReadingInput>(tape, x, 0);
  y = sum(tape, std::move(y), apply<DoubleReadingInput>(tape, std::move(x), 1), 2);
  tape.backward(std::move(y));
  EXPECT_EQ(store.fetches, 1);
  EXPECT_EQ(take_gradient(), 2);
}

// An op that failed to be recorded has not used its inputs.
TEST_F(Writes, AfterAnOpThatFailedAreNoError) {
  class Full final : public SavedStore, public RetentionPolicy {
   public:
    std::unique_ptr<SavedValue> save(Tensor /*value*/, const ValueInfo& /*info*/) override {
      throw OutOfMemory("the store is full");
    }
    Decision decide(const ValueInfo& /*value*/) const override {
      return {.what = Retain::store, .store = const_cast<Full*>(this)};
    }
  };
  const Full full;
  Tape tape(context_, {.policy = &full});
  const Var x = tape.leaf(x_, &slot_, "x");
  EXPECT_THROW(apply<DoubleReadingOutput>(tape, x, 0), OutOfMemory);
  write(x_, 2);
  tape.backward(apply<DoubleReadingInput>(tape, x, 1));
  EXPECT_EQ(take_gradient(), 2);
}

TEST_F(Writes, ALeafHasData) {
  Tape tape(context_);
  EXPECT_THAT([&] { tape.leaf(Tensor(), &slot_, "x"); },
              ThrowsMessage<Error>("[tape] leaf x: expected data, got an undefined tensor"));
}

}  // namespace
}  // namespace retape::nn
