#include "nn/kernels/softmax.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/random_values.h"
#include "tests/unit/nn/kernels/run_kernel.h"

namespace retape::nn {
namespace {

using testing::random_values;
using testing::rounded;
using testing::same_bits;
using testing::to_doubles;

constexpr double kInf = std::numeric_limits<double>::infinity();

template <class T>
std::vector<double> softmax(const std::vector<double>& row, bool logarithm) {
  std::vector<T> x;
  for (const double value : row) {
    x.push_back(rounded<T>(value));
  }
  std::vector<T> y(x.size());
  run_kernel(SoftmaxForward{.x = x.data(),
                            .y = y.data(),
                            .rows = 1,
                            .columns = static_cast<std::int64_t>(x.size()),
                            .logarithm = logarithm,
                            .dtype = kDTypeOf<T>});
  return to_doubles(y);
}

template <class T>
class SoftmaxKernel : public ::testing::Test {};
TYPED_TEST_SUITE(SoftmaxKernel, KernelTypes);

TYPED_TEST(SoftmaxKernel, OverflowsNowhere) {
  using Row = std::vector<double>;
  EXPECT_EQ(softmax<TypeParam>({-3e38, 3e38, -kInf, 0, 1e20}, false), (Row{0, 1, 0, 0, 0}));
  EXPECT_EQ(softmax<TypeParam>({3e38, 3e38}, false), (Row{0.5, 0.5}));
  EXPECT_EQ(softmax<TypeParam>({-3e38, -3e38}, false), (Row{0.5, 0.5}));
  EXPECT_EQ(softmax<TypeParam>({1000, -kInf, 0}, true), (Row{0, -kInf, -1000}));
  EXPECT_EQ(softmax<TypeParam>({3e38, -3e38}, true), (Row{0, -kInf}));  // -6e38
}

TYPED_TEST(SoftmaxKernel, WhatIsNotFiniteStaysSo) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const bool logarithm : {false, true}) {
    for (const std::vector<double>& row : {std::vector<double>{0, nan, 1}, {0, kInf, 1}, {-kInf, -kInf, -kInf}}) {
      for (const double value : softmax<TypeParam>(row, logarithm)) {
        EXPECT_FALSE(std::isfinite(value) && value != 0) << value;
      }
      EXPECT_TRUE(std::isnan(softmax<TypeParam>(row, logarithm)[1]));
    }
  }
}

TYPED_TEST(SoftmaxKernel, BitsDoNotDependOnThreads) {
  const auto x = random_values<TypeParam>(23 * 1003, 1, -6, 6);
  const auto dy = random_values<TypeParam>(23 * 1003, 2);
  for (const bool logarithm : {false, true}) {
    std::vector<TypeParam> first_y;
    std::vector<float> first_dx;
    for (const int threads : {1, 2, 3}) {
      std::vector<TypeParam> y(x.size());
      std::vector<float> dx(x.size());
      run_kernel(SoftmaxForward{.x = x.data(),
                                .y = y.data(),
                                .rows = 23,
                                .columns = 1003,
                                .logarithm = logarithm,
                                .dtype = kDTypeOf<TypeParam>},
                 threads);
      run_kernel(SoftmaxBackward{.y = y.data(),
                                 .dy = dy.data(),
                                 .dx = dx.data(),
                                 .rows = 23,
                                 .columns = 1003,
                                 .logarithm = logarithm,
                                 .dtype = kDTypeOf<TypeParam>},
                 threads);
      first_y = threads == 1 ? y : first_y;
      first_dx = threads == 1 ? dx : first_dx;
      EXPECT_TRUE(same_bits(y, first_y) && same_bits(dx, first_dx)) << threads;
    }
  }
}

}  // namespace
}  // namespace retape::nn
