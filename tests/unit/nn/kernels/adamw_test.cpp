#include "nn/kernels/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/random_values.h"
#include "tests/unit/nn/kernels/run_kernel.h"

namespace retape::nn {
namespace {

using testing::is_close;
using testing::random_values;
using testing::same_bits;
using testing::to_doubles;

constexpr float kGradientScale = 0.3F;
constexpr float kLr = 1e-3F;
constexpr float kEps = 1e-8F;
constexpr float kDecay = 0.1F;
constexpr float kBeta1 = 0.9F;
constexpr float kBeta2 = 0.999F;
constexpr int kSteps = 20;

struct Parameter {
  explicit Parameter(Elems elems)
      : weight(random_values<float>(elems, 1, 0.05, 0.1)),
        first_moment(weight.size()),
        second_moment(weight.size()),
        working(weight.size()) {}

  void step(int t, const std::vector<float>& gradient, int threads = 2) {
    run_kernel(AdamWUpdate{.weight = weight.data(),
                           .first_moment = first_moment.data(),
                           .second_moment = second_moment.data(),
                           .gradient = gradient.data(),
                           .working = working.data(),
                           .elems = static_cast<Elems>(weight.size()),
                           .scale = kGradientScale,
                           .lr = kLr,
                           .beta1 = kBeta1,
                           .beta2 = kBeta2,
                           .eps = kEps,
                           .weight_decay = kDecay,
                           .bias_correction1 = static_cast<float>(1 - std::pow(double{kBeta1}, t)),
                           .bias_correction2 = static_cast<float>(1 - std::pow(double{kBeta2}, t))},
               threads);
  }

  std::vector<float> weight, first_moment, second_moment;
  std::vector<bf16> working;
};

// Gradients of very different sizes, one in three with a part that stays the same.
std::vector<float> gradient(Elems elems, int t) {
  auto values = random_values<float>(elems, std::uint64_t{100} + static_cast<std::uint64_t>(t));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = (values[i] + (i % 3 == 0 ? 0.5F : 0.0F)) * std::pow(10.0F, -static_cast<float>(i % 7));
  }
  return values;
}

struct Reference {
  explicit Reference(const Parameter& parameter)
      : weight(to_doubles(parameter.weight)), first_moment(weight.size()), second_moment(weight.size()) {}

  void step(int t, const std::vector<float>& gradient) {
    for (std::size_t i = 0; i < weight.size(); ++i) {
      const double g = double{kGradientScale} * double{gradient[i]};
      double& m = first_moment[i];
      double& v = second_moment[i];
      m = double{kBeta1} * m + (1 - double{kBeta1}) * g;
      v = double{kBeta2} * v + (1 - double{kBeta2}) * g * g;
      const double m_hat = m / (1 - std::pow(double{kBeta1}, t));
      const double v_hat = v / (1 - std::pow(double{kBeta2}, t));
      weight[i] -= double{kLr} * (double{kDecay} * weight[i] + m_hat / (std::sqrt(v_hat) + double{kEps}));
    }
  }

  std::vector<double> weight, first_moment, second_moment;
};

// Relative to the references.
double root_mean_square_error(const std::vector<float>& values, const std::vector<double>& references) {
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    sum += std::pow(double{values[i]} / references[i] - 1, 2);
  }
  return std::sqrt(sum / static_cast<double>(values.size()));
}

TEST(AdamWKernel, StaysAtTheReferenceForTwentySteps) {
  for (const Elems elems : {1, 5, 97, 9001}) {
    SCOPED_TRACE(elems);
    Parameter parameter(elems);
    Reference expected(parameter);
    for (int t = 1; t <= kSteps; ++t) {
      parameter.step(t, gradient(elems, t));
      expected.step(t, gradient(elems, t));
    }
    // Twenty roundings of a weight, each by half a unit in the last place at most; the other arithmetic adds nothing.
    EXPECT_TRUE(is_close(parameter.weight, expected.weight, {5e-7, 0}));
    EXPECT_LT(root_mean_square_error(parameter.weight, expected.weight), 1.6e-7);
    EXPECT_TRUE(is_close(parameter.second_moment, expected.second_moment, {1e-6, 0}));
    for (std::size_t i = 0; i < parameter.weight.size(); ++i) {
      EXPECT_EQ(parameter.working[i].bits, to_bf16(parameter.weight[i]).bits);
    }
  }
}

TEST(AdamWKernel, AZeroGradientOnlyDecays) {
  Parameter parameter(97);
  const auto before = parameter.weight;
  parameter.step(1, std::vector<float>(97, 0.0F));
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_FLOAT_EQ(parameter.weight[i], before[i] * (1 - kLr * kDecay));
  }
}

TEST(AdamWKernel, TheWorkingCopyMayBeMissing) {
  Parameter with(97);
  Parameter without(97);
  with.step(1, gradient(97, 1));
  const auto gradients = gradient(97, 1);
  run_kernel(AdamWUpdate{.weight = without.weight.data(),
                         .first_moment = without.first_moment.data(),
                         .second_moment = without.second_moment.data(),
                         .gradient = gradients.data(),
                         .elems = 97,
                         .scale = kGradientScale,
                         .lr = kLr,
                         .beta1 = kBeta1,
                         .beta2 = kBeta2,
                         .eps = kEps,
                         .weight_decay = kDecay,
                         .bias_correction1 = static_cast<float>(1 - double{kBeta1}),
                         .bias_correction2 = static_cast<float>(1 - double{kBeta2})});
  EXPECT_TRUE(same_bits(with.weight, without.weight));
}

TEST(AdamWKernel, BitsDoNotDependOnThreads) {
  Parameter one(20011);
  one.step(1, gradient(20011, 1), 1);
  for (const int threads : {1, 2, 3}) {
    Parameter parameter(20011);
    parameter.step(1, gradient(20011, 1), threads);
    EXPECT_TRUE(same_bits(parameter.weight, one.weight));
    EXPECT_TRUE(same_bits(parameter.first_moment, one.first_moment));
    EXPECT_TRUE(same_bits(parameter.second_moment, one.second_moment));
    EXPECT_TRUE(same_bits(parameter.working, one.working));
  }
}

}  // namespace
}  // namespace retape::nn
