#include "nn/kernels/gelu.h"
#include "nn/kernels/backends.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <utility>
#include <vector>

#include "tests/support/random_values.h"
#include "tests/unit/nn/kernels/run_kernel.h"

namespace retape::nn {
namespace {

using testing::is_close;
using testing::random_values;
using testing::same_bits;
using testing::to_double;
using testing::to_doubles;
using testing::tolerance;

const std::vector<std::pair<std::int64_t, std::int64_t>> kShapes{{1, 1}, {3, 5}, {17, 97}, {70, 384}};
const double kSlope = std::sqrt(2 / std::numbers::pi);

double gelu(double x) {
  // erfc-like tails: 1 + tanh(u) loses its digits for large -u, 2 / (1 + exp(-2u)) does not.
  return x / (1 + std::exp(-2 * kSlope * (x + 0.044715 * x * x * x)));
}

double gelu_derivative(double x) {
  const double s = 1 / (1 + std::exp(-2 * kSlope * (x + 0.044715 * x * x * x)));
  return s + x * s * (1 - s) * 2 * kSlope * (1 + 3 * 0.044715 * x * x);
}

template <class T>
class GeluKernel : public ::testing::Test {};
TYPED_TEST_SUITE(GeluKernel, KernelTypes);

TYPED_TEST(GeluKernel, ForwardIsTheReference) {
  for (const Elems elems : {1, 5, 97, 9000}) {
    SCOPED_TRACE(elems);
    const auto x = random_values<TypeParam>(elems, 1, -12, 12);
    std::vector<TypeParam> y(x.size());
    run_kernel(GeluForward{.x = x.data(), .y = y.data(), .elems = elems, .dtype = kDTypeOf<TypeParam>});
    std::vector<double> expected;
    expected.reserve(x.size());
    for (const TypeParam value : x) {
      expected.push_back(gelu(to_double(value)));
    }
    EXPECT_TRUE(is_close(y, expected, tolerance<TypeParam>({1e-6, 2e-9})));
  }
}

TYPED_TEST(GeluKernel, ForwardAtTheEnds) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  std::vector<TypeParam> x;
  for (const double value : {0.0, 60.0, -60.0, 1e20, -1e20, double{nan}, -3e38, double{-inf}, 3e38, double{inf}}) {
    x.push_back(testing::rounded<TypeParam>(value));
  }
  std::vector<TypeParam> y(x.size());
  run_kernel(GeluForward{.x = x.data(), .y = y.data(), .elems = 10, .dtype = kDTypeOf<TypeParam>});
  const std::vector<double> values = to_doubles(y);
  EXPECT_EQ(values[0], 0);
  EXPECT_EQ(values[1], to_double(x[1]));
  EXPECT_NEAR(values[2], 0, 1e-30);
  EXPECT_EQ(values[3], to_double(x[3]));
  EXPECT_NEAR(values[4], 0, 1e-15);
  EXPECT_TRUE(std::isnan(values[5]));
  EXPECT_NEAR(values[6], 0, 1e-30);
  EXPECT_NEAR(values[7], 0, 1e-30);
  EXPECT_EQ(values[8], to_double(x[8]));
  EXPECT_EQ(values[9], to_double(x[9]));
}

template <class T>
struct Case {
  Case(std::int64_t row_count, std::int64_t column_count)
      : rows(row_count),
        columns(column_count),
        x(random_values<T>(rows * columns, 1, -6, 6)),
        dy(random_values<T>(rows * columns, 2)),
        dx(x.size()),
        dbias(random_values<float>(columns, 3)) {}

  GeluBackward kernel() {
    return {.x = x.data(),
            .dy = dy.data(),
            .dx = dx.data(),
            .dbias = dbias.data(),
            .rows = rows,
            .columns = columns,
            .dtype = kDTypeOf<T>};
  }

  std::int64_t rows;
  std::int64_t columns;
  std::vector<T> x, dy, dx;
  std::vector<float> dbias;
};

TYPED_TEST(GeluKernel, BackwardIsTheReference) {
  for (const auto& [rows, columns] : kShapes) {
    for (const bool accumulate : {false, true}) {
      SCOPED_TRACE(::testing::Message() << rows << " x " << columns << (accumulate ? " added" : ""));
      Case<TypeParam> c(rows, columns);
      std::vector<double> dx;
      for (std::size_t i = 0; i < c.x.size(); ++i) {
        dx.push_back(to_double(c.dy[i]) * gelu_derivative(to_double(c.x[i])));
      }
      std::vector<double> dbias(c.dbias.size(), 0);
      if (accumulate) {
        dbias = to_doubles(c.dbias);
      }
      GeluBackward kernel = c.kernel();
      kernel.accumulate_dbias = accumulate;
      run_kernel(kernel);
      EXPECT_TRUE(is_close(c.dx, dx, tolerance<TypeParam>({1e-6, 1e-6})));
      for (std::size_t i = 0; i < c.dx.size(); ++i) {
        dbias[i % dbias.size()] += to_double(c.dx[i]);
      }
      EXPECT_TRUE(is_close(c.dbias, dbias, {1e-6, 2e-6}));
    }
  }
}

TYPED_TEST(GeluKernel, BackwardAtTheEnds) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  std::vector<TypeParam> x;
  for (const double value : {60.0, 1e5, 1e13, 1e20, 3e38, kInf}) {
    x.push_back(testing::rounded<TypeParam>(value));
    x.push_back(testing::rounded<TypeParam>(-value));
  }
  x.push_back(testing::rounded<TypeParam>(std::numeric_limits<double>::quiet_NaN()));
  const auto count = static_cast<std::int64_t>(x.size());
  const std::vector<TypeParam> dy(x.size(), testing::rounded<TypeParam>(1));
  std::vector<TypeParam> dx(x.size());
  run_kernel(GeluBackward{
      .x = x.data(), .dy = dy.data(), .dx = dx.data(), .rows = 1, .columns = count, .dtype = kDTypeOf<TypeParam>});
  const std::vector<double> values = to_doubles(dx);
  for (std::size_t i = 0; i + 1 < values.size(); i += 2) {
    EXPECT_EQ(values[i], 1) << to_double(x[i]);
    EXPECT_NEAR(values[i + 1], 0, 1e-26) << to_double(x[i + 1]);
  }
  EXPECT_TRUE(std::isnan(values.back()));
}

TYPED_TEST(GeluKernel, BackwardMayOverwriteItsInputAndSkipTheBias) {
  Case<TypeParam> plain(17, 97);
  Case<TypeParam> in_place = plain;
  run_kernel(plain.kernel());
  GeluBackward kernel = in_place.kernel();
  kernel.dx = in_place.dy.data();
  kernel.dbias = nullptr;
  cpu::Machine machine(1);
  EXPECT_EQ(cpu::workspace_of_kernel(machine, kernel), 0);
  run_kernel(kernel);
  EXPECT_TRUE(same_bits(in_place.dy, plain.dx));
}

TYPED_TEST(GeluKernel, BitsDoNotDependOnThreads) {
  Case<TypeParam> one(130, 97);
  run_kernel(one.kernel(), 1);
  for (const int threads : {1, 2, 3}) {
    Case<TypeParam> c(130, 97);
    run_kernel(c.kernel(), threads);
    EXPECT_TRUE(same_bits(c.dx, one.dx) && same_bits(c.dbias, one.dbias));
  }
}

}  // namespace
}  // namespace retape::nn
