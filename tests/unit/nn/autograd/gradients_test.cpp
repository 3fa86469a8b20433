#include "nn/autograd/gradients.h"

#include <gmock/gmock.h>

#include <array>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "tests/unit/nn/autograd/tape_case.h"

namespace retape::nn {
namespace {

using toy::DoubleReadingInput;

// y = 0. Its backward asks for the gradient of its input, writes 1 where `write` says so, and fails.
struct Failing {
  static constexpr OpTraits kTraits{.name = "failing"};
  static constexpr std::array<std::string_view, 1> kOutputs{"failing"};
  struct Args {
    bool write;
  };
  static Reads reads(const Args& /*args*/) { return {}; }
  static Outputs forward(Context& context, const Args& /*args*/, const Inputs& inputs) {
    Tensor y(context.device(), inputs[0].shape(), DType::f32, context.output_tag());
    y.fill_zero();
    return {y};
  }
  static void backward(Context& /*context*/, const Args& args, const Saved& /*saved*/, Gradients& gradients) {
    const GradSink sink = gradients.sink(0, DType::f32);
    if (args.write) {
      *sink.tensor.data_as<float>() = 1;
    }
    throw std::runtime_error("no room for a workspace");
  }
  static Cost cost(const Args& /*args*/, std::span<const Shape> /*inputs*/) { return {}; }
};

class GradientsTest : public TapeCase {
 protected:
  // Fails in the backward of an op that takes the leaf itself, after another use of the leaf has added 2 where `used`.
  void fail_in_backward(bool write, bool used) {
    Tape tape(context_);
    const Var leaf = tape.leaf(scalar(1), &slot_, "x");
    Var y = tape.run<Failing>({write}, {leaf});
    if (used) {
      y = sum(tape, y, apply<DoubleReadingInput>(tape, leaf, 0), 1);
    }
    EXPECT_THROW(tape.backward(std::move(y)), std::runtime_error);
  }
};

TEST_F(GradientsTest, OfAnOpThatFailsAreNoSums) {
  for (const bool write : {false, true}) {
    fail_in_backward(write, false);
    EXPECT_FALSE(slot_.gradient.defined());
  }
  const auto gradients = static_cast<std::size_t>(Tag::gradients);
  EXPECT_EQ(device_.memory().stats().live_by_tag[gradients], 0);
}

TEST_F(GradientsTest, OfTheOpsBeforeItStay) {
  fail_in_backward(false, true);
  EXPECT_EQ(take_gradient(), 2);
}

TEST_F(GradientsTest, AreSummedInTheDtypeOfTheSlot) {
  slot_.dtype = DType::bf16;
  Tape tape(context_);
  const Var leaf = tape.leaf(scalar(1), &slot_, "x");
  Var y = tape.run<Failing>({false}, {leaf});
  EXPECT_THAT([&] { tape.backward(std::move(y)); },
              testing::ThrowsMessage<ShapeError>("[tape] gradient of x: expected bf16 [], got f32 []"));
}

}  // namespace
}  // namespace retape::nn
