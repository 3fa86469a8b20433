#include "nn/kernels/squared_error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/random_values.h"
#include "tests/unit/nn/kernels/run_kernel.h"

namespace retape::nn {
namespace {

using testing::is_close;
using testing::random_values;
using testing::to_double;

template <class T>
class SquaredErrorKernel : public ::testing::Test {};
TYPED_TEST_SUITE(SquaredErrorKernel, KernelTypes);

TYPED_TEST(SquaredErrorKernel, IsTheMeanInAllThreadCounts) {
  for (const Elems elems : {1, 5, 97, 16385, 100003}) {
    SCOPED_TRACE(elems);
    const auto a = random_values<TypeParam>(elems, 1);
    const auto b = random_values<TypeParam>(elems, 2, -3, 1);
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      sum += std::pow(to_double(a[i]) - to_double(b[i]), 2);
    }
    for (const int threads : {1, 2, 3}) {
      float loss = 0;
      run_kernel(
          MeanSquaredErrorForward{
              .a = a.data(), .b = b.data(), .loss = &loss, .elems = elems, .dtype = kDTypeOf<TypeParam>},
          threads);
      EXPECT_EQ(loss, static_cast<float>(sum / static_cast<double>(elems)));
    }
  }
}

// The square of an error of 1e25 is beyond f32, and an error of 6e38 too; the mean and the gradient are not.
TEST(SquaredErrorKernel, OverflowsNowhereOnTheWay) {
  std::vector<float> a(std::size_t{1} << 20, 0);
  std::vector<float> b(a.size(), 0);
  const auto elems = static_cast<Elems>(a.size());
  float loss = 0;
  a[5] = 1e22F;
  run_kernel(MeanSquaredErrorForward{.a = a.data(), .b = b.data(), .loss = &loss, .elems = elems});
  EXPECT_NEAR(loss, 1e44 / static_cast<double>(elems), 1e32);

  a[5] = 3e38F;
  b[5] = -3e38F;
  const float dloss = 0.5F;
  std::vector<float> da(a.size());
  run_kernel(MeanSquaredErrorBackward{.a = a.data(), .b = b.data(), .dloss = &dloss, .da = da.data(), .elems = elems});
  EXPECT_TRUE(is_close<float>({da[5]}, {6e38 / static_cast<double>(elems)}, {1e-6, 0}));
}

}  // namespace
}  // namespace retape::nn
