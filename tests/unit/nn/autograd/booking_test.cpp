// How the tape books what it keeps.
#include <gtest/gtest.h>

#include "tests/unit/nn/autograd/tape_case.h"

namespace retape::nn {
namespace {

// y = x in the memory of x; backward reads y.
struct PassOn {
  static constexpr OpTraits kTraits{.name = "pass_on"};
  static constexpr std::array<std::string_view, 1> kOutputs{"pass_on"};
  struct Args {};
  static Reads reads(const Args& /*args*/) { return {.inputs = 0, .outputs = 1}; }
  static Outputs forward(Context& /*context*/, const Args& /*args*/, const Inputs& inputs) { return {inputs[0]}; }
  static void backward(Context& /*context*/, const Args& /*args*/, const Saved& /*saved*/, Gradients& gradients) {
    gradients.give(0, gradients.take_dout(0));
  }
  static Cost cost(const Args& /*args*/, std::span<const Shape> /*inputs*/) { return {}; }
};

class KeepAsCheckpoints final : public RetentionPolicy {
 public:
  Decision decide(const ValueInfo& /*value*/) const override { return {.tag = Tag::checkpoints}; }
};

using Booking = TapeCase;

TEST_F(Booking, AParameterThatAnOpPassesOnStaysOne) {
  const KeepAsCheckpoints policy;
  const Tensor parameter = scalar(3);
  Tape tape(context_, {.policy = &policy});
  Var x = tape.run<PassOn>({}, {tape.leaf(parameter, &slot_)});
  EXPECT_EQ(parameter.storage()->tag(), Tag::parameters);
  x = apply<toy::DoubleReadingNothing>(tape, std::move(x), 0);
  const Tensor made = x.data();
  x = apply<toy::DoubleReadingInput>(tape, std::move(x), 1);
  EXPECT_EQ(made.storage()->tag(), Tag::checkpoints);
  tape.backward(std::move(x));
  EXPECT_EQ(take_gradient(), 4);
}

}  // namespace
}  // namespace retape::nn
