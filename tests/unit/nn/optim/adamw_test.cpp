#include "nn/optim/adamw.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nn/base/error.h"
#include "nn/ops/linear.h"
#include "nn/optim/schedule.h"
#include "tests/support/random_values.h"

namespace retape::nn {
namespace {

using testing::is_close;
using testing::random_values;
using testing::same_bits;
using testing::to_doubles;

constexpr AdamWOptions kOptions{.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1};
constexpr double kGradientScale = 0.3;
constexpr int kSteps = 20;

// One parameter in float64, by the formulas of the paper.
class Reference {
 public:
  Reference(const std::vector<float>& weight, bool decays)
      : weight_(to_doubles(weight)), first_(weight.size()), second_(weight.size()), decay_(decays ? 0.1 : 0.0) {}

  void step(int t, double lr, const std::vector<float>& gradient) {
    for (std::size_t i = 0; i < weight_.size(); ++i) {
      const double g = kGradientScale * double{gradient[i]};
      first_[i] = kOptions.beta1 * first_[i] + (1 - kOptions.beta1) * g;
      second_[i] = kOptions.beta2 * second_[i] + (1 - kOptions.beta2) * g * g;
      const double first_hat = first_[i] / (1 - std::pow(kOptions.beta1, t));
      const double second_hat = second_[i] / (1 - std::pow(kOptions.beta2, t));
      weight_[i] -= lr * (decay_ * weight_[i] + first_hat / (std::sqrt(second_hat) + kOptions.eps));
    }
  }

  const std::vector<double>& weight() const { return weight_; }

 private:
  std::vector<double> weight_, first_, second_;
  double decay_;
};

// A model of parameters of every rank.
class AdamWTest : public ::testing::Test {
 protected:
  static Shape shape_of(std::size_t i) {
    return std::vector<Shape>{{97}, {13, 7}, {5, 4, 3}, {1}, {1, 1}, {64, 129}}[i];
  }
  static constexpr std::size_t kParameters = 6;

  void make(DType dtype) {
    owned_.clear();
    parameters_.clear();
    for (std::size_t i = 0; i < kParameters; ++i) {
      owned_.push_back(std::make_unique<Parameter>(device_, "p" + std::to_string(i), shape_of(i), dtype));
      owned_.back()->load(context_, random_values<float>(shape_of(i).elems(), i, 0.05, 0.1));
      parameters_.push_back(owned_.back().get());
    }
  }

  // Gradients of very different sizes, one in three with a part that stays the same.
  static std::vector<float> gradient(std::size_t parameter, int t) {
    auto values = random_values<float>(shape_of(parameter).elems(), 100 * parameter + static_cast<std::uint64_t>(t));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = (values[i] + (i % 3 == 0 ? 0.5F : 0.0F)) * std::pow(10.0F, -static_cast<float>(i % 7));
    }
    return values;
  }

  void give_gradient(std::size_t parameter, int t) {
    Tensor& slot = parameters_[parameter]->gradient().gradient;
    slot = Tensor(device_, shape_of(parameter), DType::f32, Tag::gradients);
    slot.from_host<float>(gradient(parameter, t));
  }

  void step(AdamW& optimizer, int t, double lr) {
    for (std::size_t i = 0; i < kParameters; ++i) {
      give_gradient(i, t);
    }
    optimizer.step(context_, lr, kGradientScale);
  }

  std::vector<float> weight(std::size_t parameter) const { return parameters_[parameter]->weight().to_host<float>(); }

  Device device_{{.threads = 2}};
  Context context_{device_};
  std::vector<std::unique_ptr<Parameter>> owned_;
  Parameters parameters_;
};

TEST_F(AdamWTest, StaysAtTheReferenceForTwentySteps) {
  const Schedule schedule{.kind = ScheduleKind::cosine, .lr = 1e-3, .min_lr = 1e-4, .warmup_steps = 5, .steps = kSteps};
  for (const DType dtype : {DType::f32, DType::bf16}) {
    SCOPED_TRACE(name(dtype));
    make(dtype);
    AdamW optimizer(context_, parameters_, kOptions);
    std::vector<Reference> references;
    for (std::size_t i = 0; i < kParameters; ++i) {
      references.emplace_back(weight(i), shape_of(i).rank() >= 2);
    }
    for (int t = 1; t <= kSteps; ++t) {
      const double lr = schedule.at(t - 1);
      step(optimizer, t, lr);
      for (std::size_t i = 0; i < kParameters; ++i) {
        references[i].step(t, lr, gradient(i, t));
        // Each step rounds a weight once, by half a unit in the last place.
        EXPECT_TRUE(is_close(weight(i), references[i].weight(), {6e-8 * (t + 1), 0})) << "step " << t;
      }
    }
    EXPECT_EQ(optimizer.steps(), kSteps);
  }
}

// The first step is as long as the learning rate, whatever the gradient and the decay rates of the moments are.
TEST_F(AdamWTest, TheFirstStepHasTheLengthOfTheLearningRate) {
  for (const double beta2 : {0.9, 0.95, 0.999, 0.9999}) {
    Parameter parameter(device_, "p", {1000}, DType::f32);
    parameter.fill(context_, 0);
    AdamW optimizer(context_, {&parameter}, {.beta1 = 0.9, .beta2 = beta2, .eps = 0});
    parameter.gradient().gradient = Tensor(device_, {1000}, DType::f32, Tag::gradients);
    parameter.gradient().gradient.from_host<float>(random_values<float>(1000, 1, 0.1, 1));
    optimizer.step(context_, 1e-3);
    EXPECT_TRUE(is_close(parameter.weight().to_host<float>(), std::vector<double>(1000, -1e-3), {4e-7, 0})) << beta2;
  }
}

TEST_F(AdamWTest, OnlyParametersOfTwoOrMoreDimensionsDecay) {
  make(DType::f32);
  AdamW optimizer(context_, parameters_, kOptions);
  for (std::size_t i = 0; i < kParameters; ++i) {
    give_gradient(i, 1);
    parameters_[i]->gradient().gradient.fill_zero();
    const std::vector<float> before = weight(i);
    const double kept = shape_of(i).rank() >= 2 ? 1 - 0.01 * 0.1 : 1;
    optimizer.step(context_, 0.01);
    std::vector<double> expected = to_doubles(before);
    for (double& value : expected) {
      value *= kept;
    }
    EXPECT_TRUE(is_close(weight(i), expected, {kept < 1 ? 1e-7 : 0, 0})) << shape_of(i).str();
    clear_gradients(parameters_);
  }
}

TEST_F(AdamWTest, TheWorkingCopyIsTheRoundedWeight) {
  make(DType::bf16);
  AdamW optimizer(context_, parameters_, kOptions);
  for (int t = 1; t <= 3; ++t) {
    step(optimizer, t, 1e-2);
    for (std::size_t i = 0; i < kParameters; ++i) {
      const std::vector<float> weights = weight(i);
      const std::vector<bf16> working = parameters_[i]->working().to_host<bf16>();
      for (std::size_t e = 0; e < weights.size(); ++e) {
        ASSERT_EQ(working[e].bits, to_bf16(weights[e]).bits);
      }
    }
  }
}

TEST_F(AdamWTest, TheModelsDtypeDoesNotChangeTheWeights) {
  std::vector<std::vector<float>> in_f32;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    make(dtype);
    AdamW optimizer(context_, parameters_, kOptions);
    step(optimizer, 1, 1e-3);
    for (std::size_t i = 0; i < kParameters; ++i) {
      if (dtype == DType::f32) {
        in_f32.push_back(weight(i));
      } else {
        EXPECT_TRUE(same_bits(weight(i), in_f32[i]));
      }
    }
  }
}

TEST_F(AdamWTest, AParameterWithoutAGradientStays) {
  make(DType::f32);
  AdamW optimizer(context_, parameters_, kOptions);
  const std::vector<float> before = weight(1);
  give_gradient(0, 1);
  optimizer.step(context_, 1e-3);
  EXPECT_TRUE(same_bits(weight(1), before));
}

TEST_F(AdamWTest, AScaleOnTheDeviceGivesTheSameBitsAndOneThatIsNotFiniteChangesNothing) {
  const auto on_device = [&](double scale) {
    Tensor tensor(device_, Shape{}, DType::f64, Tag::optimizer);
    tensor.from_host<double>(std::array{scale});
    return tensor;
  };
  for (const DType dtype : {DType::f32, DType::bf16}) {
    make(dtype);
    AdamW optimizer(context_, parameters_, kOptions);
    step(optimizer, 1, 1e-3);
    std::vector<std::vector<float>> expected;
    for (std::size_t i = 0; i < kParameters; ++i) {
      expected.push_back(weight(i));
    }
    make(dtype);
    AdamW other(context_, parameters_, kOptions);
    for (std::size_t i = 0; i < kParameters; ++i) {
      give_gradient(i, 1);
    }
    other.step(context_, 1e-3, on_device(kGradientScale));
    for (const double scale : {std::nan(""), HUGE_VAL}) {
      other.step(context_, 1e-3, on_device(scale));
    }
    for (std::size_t i = 0; i < kParameters; ++i) {
      EXPECT_TRUE(same_bits(weight(i), expected[i]));
      EXPECT_TRUE(same_bits(other.moments()[i].first.to_host<float>(), optimizer.moments()[i].first.to_host<float>()));
      EXPECT_TRUE(
          same_bits(other.moments()[i].second.to_host<float>(), optimizer.moments()[i].second.to_host<float>()));
    }
  }
}

// With two tapes under way the step comes too early for the second; what it left alone may still be read.
TEST_F(AdamWTest, AStepBeforeABackwardIsRefusedThere) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Parameter weight(device_, "wte", {3, 3}, dtype);
    Parameter bias(device_, "bias", {3}, dtype);
    Parameter frozen(device_, "frozen", {3, 3}, dtype);
    for (Parameter* parameter : {&weight, &bias, &frozen}) {
      parameter->fill(context_, 1);
    }
    AdamW optimizer(context_, {&weight, &bias, &frozen}, kOptions);
    Tensor dy(device_, {1, 3}, dtype, Tag::gradients);
    dy.fill_zero();
    const auto forward = [&](Tape& tape, Parameter& by) {
      Tensor x(device_, {1, 3}, dtype, Tag::activations);
      x.fill_zero();
      return linear(tape, tape.leaf(std::move(x)), by.on(tape), bias.on(tape));
    };
    Tape first(context_);
    Tape second(context_);
    Tape third(context_);
    const Var y = forward(first, weight);
    const Var z = forward(second, weight);
    const Var other = forward(third, frozen);
    first.backward(y, dy);
    optimizer.step(context_, 1e-3);
    EXPECT_THAT([&] { second.backward(z, dy); },
                ::testing::ThrowsMessage<Error>(
                    "[linear] wte: expected the contents that forward read outside all regions, got ones that were "
                    "written before its backward"));
    third.backward(other, dy);
    EXPECT_TRUE(frozen.gradient().gradient.defined());
  }
}

TEST_F(AdamWTest, MomentsAndStepsCarriedOverContinueWithTheSameBits) {
  make(DType::f32);
  AdamW whole(context_, parameters_, kOptions);
  for (int t = 1; t <= 6; ++t) {
    step(whole, t, 1e-3);
  }
  std::vector<std::vector<float>> expected;
  for (std::size_t i = 0; i < kParameters; ++i) {
    expected.push_back(weight(i));
  }
  make(DType::f32);
  AdamW before(context_, parameters_, kOptions);
  for (int t = 1; t <= 3; ++t) {
    step(before, t, 1e-3);
  }
  AdamW after(context_, parameters_, kOptions);
  after.set_steps(before.steps());
  for (std::size_t i = 0; i < kParameters; ++i) {
    after.moments()[i].first.from_host<float>(before.moments()[i].first.to_host<float>());
    after.moments()[i].second.from_host<float>(before.moments()[i].second.to_host<float>());
  }
  for (int t = 4; t <= 6; ++t) {
    step(after, t, 1e-3);
  }
  for (std::size_t i = 0; i < kParameters; ++i) {
    EXPECT_TRUE(same_bits(weight(i), expected[i]));
  }
}

TEST_F(AdamWTest, MomentsAreBookedAsOptimizerState) {
  make(DType::bf16);
  Bytes expected = 0;
  for (std::size_t i = 0; i < kParameters; ++i) {
    expected += 2 * round_up(shape_of(i).elems() * 4, Allocator::kAlignment);
  }
  const AdamW optimizer(context_, parameters_, kOptions);
  EXPECT_EQ(device_.memory().stats().live_by_tag[static_cast<std::size_t>(Tag::optimizer)], expected);
}

}  // namespace
}  // namespace retape::nn
