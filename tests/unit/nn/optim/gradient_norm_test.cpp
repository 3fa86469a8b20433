#include "nn/optim/gradient_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/random_values.h"

namespace retape::nn {
namespace {

using testing::random_values;

TEST(GradientNorm, IsThatOfEachParameter) {
  std::vector<double> with_one_thread;
  for (const int threads : {1, 2, 3}) {
    Device device({.threads = threads});
    Context context(device);
    Parameter large(device, "large", {123, 457}, DType::bf16);
    Parameter none(device, "none", {5}, DType::f32);
    Parameter tiny(device, "tiny", {2}, DType::f32);
    const auto values = random_values<float>(large.elems(), 1);
    large.gradient().gradient = Tensor(device, large.shape(), DType::f32, Tag::gradients);
    large.gradient().gradient.from_host<float>(values);
    tiny.gradient().gradient = Tensor(device, {2}, DType::f32, Tag::gradients);
    tiny.gradient().gradient.from_host<float>(std::vector{3e-30F, 4e-30F});  // their squares are no f32
    const std::vector<double> norms = gradient_norms(context, {&large, &none, &tiny});
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

TEST(GradientNorm, TheGlobalOneIsThatOfAllTogether) {
  EXPECT_EQ(global_norm({}), 0);
  EXPECT_DOUBLE_EQ(global_norm({3, 0, 4, 12}), 13);
}

TEST(ClipFactor, BringsTheNormDownToTheLimit) {
  EXPECT_DOUBLE_EQ(clip_factor(4, 1), 1 / (4 + 1e-6));
  EXPECT_DOUBLE_EQ(clip_factor(1e6, 0.5), 0.5 / (1e6 + 1e-6));
}

TEST(ClipFactor, LeavesSmallNormsAlone) {
  EXPECT_EQ(clip_factor(0.999, 1), 1);
  EXPECT_EQ(clip_factor(0, 1), 1);
  EXPECT_EQ(clip_factor(1e9, 0), 1) << "a limit of 0 means none";
}

}  // namespace
}  // namespace retape::nn
