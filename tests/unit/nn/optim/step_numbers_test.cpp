#include "nn/optim/step_numbers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/random_values.h"

namespace retape::nn {
namespace {

using testing::random_values;

// A parameter with such a gradient.
struct Learnt {
  Learnt(Device& device, const Shape& shape, const std::vector<float>& gradient)
      : parameter(device, "p", shape, DType::f32) {
    parameter.gradient().gradient = Tensor(device, shape, DType::f32, Tag::gradients);
    parameter.gradient().gradient.from_host<float>(gradient);
  }
  Parameter parameter;
};

Tensor scalar(Device& device, float value) {
  Tensor tensor(device, Shape{}, DType::f32, Tag::activations);
  tensor.from_host<float>(std::array{value});
  return tensor;
}

TEST(StepNumbers, HaveTheNormOfEachParameter) {
  std::vector<double> with_one_thread;
  for (const int threads : {1, 2, 3}) {
    Device device({.threads = threads});
    Context context(device);
    const auto values = random_values<float>(123L * 457, 1);
    Learnt large(device, {123, 457}, values);
    Parameter none(device, "none", {5}, DType::f32);
    Learnt tiny(device, {2}, {3e-30F, 4e-30F});  // their squares are no f32
    StepNumbers numbers(context, 3);
    numbers.measure(context, {&large.parameter, &none, &tiny.parameter}, 0);
    const std::vector<double> norms = numbers.read().norms;
    double squares = 0;
    for (const double value : values) {
      squares += value * value;
    }
    ASSERT_EQ(norms.size(), 3U);
    EXPECT_NEAR(norms[0] / std::sqrt(squares), 1, 1e-12);
    EXPECT_EQ(norms[1], 0);
    EXPECT_NEAR(norms[2] / 5e-30, 1, 1e-6);
    if (threads == 1) {
      with_one_thread = norms;
    }
    EXPECT_EQ(norms, with_one_thread);
  }
}

TEST(StepNumbers, BringTheNormOfAllTogetherDownToTheLimit) {
  Device device({.threads = 1});
  Context context(device);
  Learnt first(device, {2}, {0, 3});
  Learnt second(device, {2}, {4, 12});
  const Parameters both{&first.parameter, &second.parameter};
  StepNumbers numbers(context, 2);
  const auto scale = [&](double limit) {
    numbers.begin();
    numbers.measure(context, both, limit);
    EXPECT_DOUBLE_EQ(numbers.read().norm, 13);
    return numbers.scale().to_host<double>().front();
  };
  EXPECT_DOUBLE_EQ(scale(1), 1 / (13 + 1e-6));
  EXPECT_EQ(scale(13.1), 1) << "small norms stay";
  EXPECT_EQ(scale(0), 1) << "a limit of 0 means none";
}

TEST(StepNumbers, AddUpTheLossesOfAStepInF64) {
  Device device({.threads = 1});
  Context context(device);
  StepNumbers numbers(context, 0);
  for (int step = 0; step < 2; ++step) {
    numbers.begin();
    numbers.add_loss(context, scalar(device, 1));
    numbers.add_loss(context, scalar(device, 1e-12F));
    EXPECT_EQ(numbers.read().loss, 1 + double{1e-12F});
  }
}

TEST(StepNumbers, HaveNoScaleWhereTheLossOrTheNormIsNotFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const auto& [loss, gradient] : {std::pair(NAN, 1.0F), {kInfinity, 1.0F}, {1.0F, NAN}, {1.0F, kInfinity}}) {
    Device device({.threads = 1});
    Context context(device);
    Learnt learnt(device, {1}, {gradient});
    StepNumbers numbers(context, 1);
    numbers.add_loss(context, scalar(device, loss));
    numbers.measure(context, {&learnt.parameter}, 1);
    EXPECT_TRUE(std::isnan(numbers.scale().to_host<double>().front())) << loss << " " << gradient;
  }
}

}  // namespace
}  // namespace retape::nn
