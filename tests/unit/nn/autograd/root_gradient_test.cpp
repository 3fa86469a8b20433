// Backward from values that are no scalars, and from leaves.
#include <gmock/gmock.h>

#include <array>
#include <vector>

#include "nn/base/error.h"
#include "tests/support/policies.h"
#include "tests/unit/nn/autograd/tape_case.h"

namespace retape::nn {
namespace {

using testing::ThrowsMessage;
using toy::DoubleReadingInput;
using Values = std::vector<float>;

class RootGradient : public TapeCase {
 protected:
  Tensor triple(const Values& values, Tag tag = Tag::parameters) {
    Tensor tensor(device_, Shape{3}, DType::f32, tag);
    tensor.from_host<float>(values);
    return tensor;
  }
  // y = x + 2 x, whose backward adds to a gradient that is there.
  Var threefold(Tape& tape) {
    const Var x = apply<DoubleReadingInput>(tape, tape.leaf(triple({1, 2, 3}), &slot_, "x"), 0);
    return sum(tape, x, apply<DoubleReadingInput>(tape, x, 1), 2);
  }
  Values gradient() const { return slot_.gradient.to_host<float>(); }
  Bytes most_gradient_bytes() { return device_.memory().stats().peak_by_tag[static_cast<std::size_t>(Tag::gradients)]; }
};

TEST_F(RootGradient, IsWhereBackwardBegins) {
  const DropInRegions policy;
  for (const bool drop : {false, true}) {
    slot_ = {};
    Tape tape(context_, {.policy = drop ? &policy : nullptr});
    Var y = tape.leaf(triple({1, 2, 3}), &slot_, "x");
    for (int layer = 0; layer < 3; ++layer) {
      y = block(tape, std::move(y), layer, 2);
    }
    tape.backward(std::move(y), triple({1, 10, -100}));
    EXPECT_EQ(gradient(), (Values{64, 640, -6400}));
  }
}

TEST_F(RootGradient, OfAnInnerValueLeavesWhatComesAfterAlone) {
  Tape tape(context_);
  const Var y = threefold(tape);
  const Var after = apply<DoubleReadingInput>(tape, y, 3);
  tape.backward(y, triple({1, 2, 3}));
  EXPECT_EQ(gradient(), (Values{6, 12, 18}));
  EXPECT_EQ(log_.backward, (std::vector{2, 1, 0}));
}

TEST_F(RootGradient, OfEachPassIsAddedWhereBackwardComesTwice) {
  Tape tape(context_);
  const Var y = threefold(tape);
  tape.backward(y, triple({1, 0, 0}), {.retain = true});
  tape.backward(y, triple({0, 1, 2}));
  EXPECT_EQ(gradient(), (Values{6, 6, 12}));
}

// Neither by the sums of backward, nor by what a slot keeps.
TEST_F(RootGradient, StaysTheCallers) {
  Tensor whole(device_, Shape{6}, DType::f32, Tag::parameters);
  whole.from_host<float>(Values{1, 2, 3, 4, 5, 6});
  Tensor shared(whole.storage(), Shape{3}, DType::f32);
  const auto view = [&] { return Tensor(std::make_shared<Storage>(whole.storage(), 0), Shape{3}, DType::f32); };
  for (const bool is_view : {false, true}) {
    slot_ = {};
    {
      Tape tape(context_);
      tape.backward(threefold(tape), is_view ? view() : shared);
    }
    EXPECT_EQ(gradient(), (Values{6, 12, 18}));
    EXPECT_EQ(whole.to_host<float>(), (Values{1, 2, 3, 4, 5, 6}));
    slot_ = {};
    Tape tape(context_);
    tape.backward(tape.leaf(triple({1, 2, 3}), &slot_), is_view ? view() : shared);
    whole.from_host<float>(Values{0, 0, 0, 4, 5, 6});
    EXPECT_EQ(gradient(), (Values{1, 2, 3}));
    whole.from_host<float>(Values{1, 2, 3, 4, 5, 6});
  }
}

TEST_F(RootGradient, ThatIsGivenAwayIsNotCopied) {
  Tape tape(context_);
  Var x = tape.leaf(triple({1, 2, 3}), &slot_);
  tape.backward(std::move(x), triple({4, 5, 6}, Tag::gradients));
  EXPECT_EQ(gradient(), (Values{4, 5, 6}));
  EXPECT_EQ(most_gradient_bytes(), Allocator::kAlignment);
}

TEST_F(RootGradient, OfALeafIsAddedToItsSlot) {
  for (int i = 0; i < 2; ++i) {
    Tape tape(context_);
    tape.backward(tape.leaf(scalar(7), &slot_), {.seed = 3});
  }
  EXPECT_EQ(take_gradient(), 6);
}

TEST_F(RootGradient, OfAnotherShapeOrDtypeIsRefused) {
  Tape tape(context_);
  const Var y = threefold(tape);
  const auto refused = [&](const Tensor& dy, const std::string& message) {
    EXPECT_THAT([&] { tape.backward(y, dy); }, ThrowsMessage<ShapeError>(message));
  };
  refused(triple({1, 2, 3}).reshaped({1, 3}), "[tape] backward: expected a gradient of f32 [3], got f32 [1, 3]");
  refused(Tensor(device_, Shape{3}, DType::bf16, Tag::gradients),
          "[tape] backward: expected a gradient of f32 [3], got bf16 [3]");
  Device other({.kind = DeviceKind::cpu, .threads = 1});
  EXPECT_THAT(
      [&] { tape.backward(y, Tensor(other, Shape{3}, DType::f32, Tag::gradients)); },
      ThrowsMessage<Error>("[tape] backward: expected a gradient on the device of the tape, got one on another"));
  EXPECT_THAT(
      [&] { tape.backward(y, Tensor()); },
      ThrowsMessage<Error>("[tape] backward: expected a gradient on the device of the tape, got an undefined tensor"));
  EXPECT_THAT(
      [&] {
        tape.backward(y, triple({1, 2, 3}), {.seed = 2});
      },
      ThrowsMessage<Error>("[tape] backward: expected a seed or a gradient to begin with, got both"));
  EXPECT_THAT([&] { tape.backward(y); },
              ThrowsMessage<ShapeError>(
                  "[tape] backward: expected a scalar f32 loss, or a gradient to begin with, got f32 [3]"));
  EXPECT_THAT(
      [&] {
        tape.backward(tape.leaf(triple({1, 2, 3})), triple({1, 2, 3}));
      },
      ThrowsMessage<Error>("[tape] backward: expected a loss that depends on a leaf with a gradient, got a constant"));
  tape.backward(y, triple({1, 1, 1}));
  EXPECT_EQ(gradient(), (Values{6, 6, 6}));
}

}  // namespace
}  // namespace retape::nn
