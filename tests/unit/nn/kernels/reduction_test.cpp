#include "nn/kernels/reduction.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "tests/support/random_values.h"
#include "tests/unit/nn/kernels/run_kernel.h"

namespace retape::nn {
namespace {

using testing::random_values;
using testing::to_double;

template <class T>
class ReductionKernel : public ::testing::Test {};
TYPED_TEST_SUITE(ReductionKernel, KernelTypes);

TYPED_TEST(ReductionKernel, IsExactToF64InAllThreadCounts) {
  for (const auto& [rows, columns] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {7, 5}, {33, 97}, {1, 16385}, {3, 40003}}) {
    SCOPED_TRACE(::testing::Message() << rows << " x " << columns);
    const auto x = random_values<TypeParam>(rows * columns, 1);
    std::vector<double> expected(static_cast<std::size_t>(rows));
    for (std::size_t i = 0; i < x.size(); ++i) {
      expected[i / static_cast<std::size_t>(columns)] += to_double(x[i]);
    }
    for (const int threads : {1, 2, 3}) {
      std::vector<float> sums(expected.size());
      run_kernel(
          RowSum{.x = x.data(), .out = sums.data(), .rows = rows, .columns = columns, .dtype = kDTypeOf<TypeParam>},
          threads);
      EXPECT_TRUE(testing::is_close(sums, expected, {1e-7, 1e-12}));
    }
  }
}

// Sums on the way are beyond f32, the result is not.
TYPED_TEST(ReductionKernel, OverflowsNowhereOnTheWay) {
  std::vector<TypeParam> x;
  for (const double value : {3e38, 3e38, 1.0, -3e38, -3e38}) {
    x.push_back(testing::rounded<TypeParam>(value));
  }
  float sum = 0;
  run_kernel(RowSum{.x = x.data(), .out = &sum, .rows = 1, .columns = 5, .dtype = kDTypeOf<TypeParam>});
  EXPECT_EQ(sum, 0);  // f64 cannot hold 3e38 + 1 either

  const std::vector<TypeParam> large(1000, testing::rounded<TypeParam>(3e38));
  float mean = 0;
  run_kernel(RowSum{
      .x = large.data(), .out = &mean, .rows = 1, .columns = 1000, .divisor = 1000, .dtype = kDTypeOf<TypeParam>});
  EXPECT_EQ(mean, static_cast<float>(to_double(large[0])));
}

TYPED_TEST(ReductionKernel, SpreadIsTheSameInEachColumn) {
  for (const auto& [rows, columns] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {7, 5}, {1, 9001}, {3, 5000}}) {
    const auto x = random_values<TypeParam>(rows, 1);
    for (const bool accumulate : {false, true}) {
      auto out = random_values<float>(rows * columns, 2);
      std::vector<double> expected;
      for (std::size_t i = 0; i < out.size(); ++i) {
        expected.push_back(to_double(x[i / static_cast<std::size_t>(columns)]) / 3 + (accumulate ? double{out[i]} : 0));
      }
      run_kernel(RowSpread{.x = x.data(),
                           .out = out.data(),
                           .rows = rows,
                           .columns = columns,
                           .divisor = 3,
                           .accumulate = accumulate,
                           .dtype = kDTypeOf<TypeParam>});
      EXPECT_TRUE(testing::is_close(out, expected, {2e-7, 1e-7}));
    }
  }
}

}  // namespace
}  // namespace retape::nn
