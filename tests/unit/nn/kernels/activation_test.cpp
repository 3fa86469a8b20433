#include "nn/kernels/activation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/random_values.h"
#include "tests/unit/nn/kernels/run_kernel.h"

namespace retape::nn {
namespace {

using testing::is_close;
using testing::random_values;
using testing::rounded;
using testing::to_double;
using testing::to_doubles;
using testing::tolerance;
using Kind = ActivationKind;

constexpr double kInf = std::numeric_limits<double>::infinity();

double value(Kind kind, double x) {
  switch (kind) {
    case Kind::relu: return x < 0 ? 0 : x;
    case Kind::tanh: return std::tanh(x);
    case Kind::sigmoid: return 1 / (1 + std::exp(-x));
  }
  return 0;
}

double slope(Kind kind, double y) {
  switch (kind) {
    case Kind::relu: return y > 0 ? 1 : 0;
    case Kind::tanh: return 1 - y * y;
    case Kind::sigmoid: return y * (1 - y);
  }
  return 0;
}

template <class T>
class ActivationKernel : public ::testing::Test {};
TYPED_TEST_SUITE(ActivationKernel, KernelTypes);

TYPED_TEST(ActivationKernel, IsTheReference) {
  for (const Kind kind : {Kind::relu, Kind::tanh, Kind::sigmoid}) {
    for (const double reach : {1e-3, 1.0, 30.0}) {
      SCOPED_TRACE(::testing::Message() << static_cast<int>(kind) << " within " << reach);
      const auto x = random_values<TypeParam>(9001, 1, -reach, reach);
      const auto dy = random_values<TypeParam>(9001, 2);
      std::vector<TypeParam> y(x.size());
      std::vector<float> dx(x.size());
      run_kernel(
          ActivationForward{.kind = kind, .x = x.data(), .y = y.data(), .elems = 9001, .dtype = kDTypeOf<TypeParam>});
      run_kernel(ActivationBackward{
          .kind = kind, .y = y.data(), .dy = dy.data(), .dx = dx.data(), .elems = 9001, .dtype = kDTypeOf<TypeParam>});
      std::vector<double> values;
      std::vector<double> slopes;
      for (std::size_t i = 0; i < x.size(); ++i) {
        values.push_back(value(kind, to_double(x[i])));
        slopes.push_back(to_double(dy[i]) * slope(kind, to_double(y[i])));
      }
      // Relative, also where the value is small.
      EXPECT_TRUE(is_close(y, values, tolerance<TypeParam>({4e-7, 0})));
      EXPECT_TRUE(is_close(dx, slopes, {2e-7, 1e-7}));
    }
  }
}

TYPED_TEST(ActivationKernel, HasItsLimits) {
  std::vector<TypeParam> x;
  for (const double at : {-kInf, -3e38, -1e20, -200.0, 0.0, 200.0, 1e20, 3e38, kInf}) {
    x.push_back(rounded<TypeParam>(at));
  }
  const auto count = static_cast<Elems>(x.size());
  for (const Kind kind : {Kind::relu, Kind::tanh, Kind::sigmoid}) {
    std::vector<TypeParam> y(x.size());
    run_kernel(
        ActivationForward{.kind = kind, .x = x.data(), .y = y.data(), .elems = count, .dtype = kDTypeOf<TypeParam>});
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double want = value(kind, to_double(x[i]));
      EXPECT_EQ(to_double(y[i]), std::abs(want) < 1e-40 ? 0 : want) << static_cast<int>(kind) << " at " << i;
    }
  }
}

TYPED_TEST(ActivationKernel, NanStaysNan) {
  const std::vector<TypeParam> nan(3, rounded<TypeParam>(std::numeric_limits<double>::quiet_NaN()));
  for (const Kind kind : {Kind::relu, Kind::tanh, Kind::sigmoid}) {
    std::vector<TypeParam> y(nan.size());
    run_kernel(
        ActivationForward{.kind = kind, .x = nan.data(), .y = y.data(), .elems = 3, .dtype = kDTypeOf<TypeParam>});
    for (const double got : to_doubles(y)) {
      EXPECT_TRUE(std::isnan(got)) << static_cast<int>(kind);
    }
  }
}

}  // namespace
}  // namespace retape::nn
