#include "nn/kernels/layer_norm.h"
#include "nn/kernels/backends.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
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
using testing::tolerance;

constexpr float kEps = 1e-5F;
const std::vector<std::pair<std::int64_t, std::int64_t>> kShapes{{1, 1}, {3, 5}, {7, 97}, {33, 128}, {130, 768}};

// Inputs and outputs of both directions. What may be accumulated to starts out at random.
template <class T>
struct Case {
  Case(std::int64_t row_count, std::int64_t channel_count, double offset = 0.3)
      : rows(row_count),
        channels(channel_count),
        x(random_values<T>(rows * channels, 1, offset - 2, offset + 2)),
        gamma(random_values<T>(channels, 2, 0.5, 1.5)),
        beta(random_values<T>(channels, 3)),
        dy(random_values<T>(rows * channels, 4)),
        y(x.size()),
        dx(random_values<T>(rows * channels, 5)),
        mean(static_cast<std::size_t>(rows)),
        rstd(mean.size()),
        dgamma(random_values<float>(channels, 6)),
        dbeta(random_values<float>(channels, 7)) {}

  LayerNormForward forward() {
    return {.x = x.data(),
            .gamma = gamma.data(),
            .beta = beta.data(),
            .mean = mean.data(),
            .rstd = rstd.data(),
            .y = y.data(),
            .rows = rows,
            .channels = channels,
            .eps = kEps,
            .dtype = kDTypeOf<T>};
  }

  LayerNormBackward backward(bool accumulate) {
    return {.x = x.data(),
            .gamma = gamma.data(),
            .mean = mean.data(),
            .rstd = rstd.data(),
            .dy = dy.data(),
            .dx = dx.data(),
            .dgamma = dgamma.data(),
            .dbeta = dbeta.data(),
            .rows = rows,
            .channels = channels,
            .accumulate_dx = accumulate,
            .accumulate_dgamma = accumulate,
            .accumulate_dbeta = accumulate,
            .dtype = kDTypeOf<T>};
  }

  std::int64_t rows;
  std::int64_t channels;
  std::vector<T> x, gamma, beta, dy, y, dx;
  std::vector<float> mean, rstd, dgamma, dbeta;
};

struct Reference {
  std::vector<double> y, mean, rstd, dx, dgamma, dbeta;
};

template <class T>
void add_row(const Case<T>& in, std::int64_t row, double eps, Reference& out) {
  const auto channels = static_cast<std::size_t>(in.channels);
  const std::size_t first = static_cast<std::size_t>(row) * channels;
  double mean = 0;
  double variance = 0;
  for (std::size_t c = 0; c < channels; ++c) {
    mean += to_double(in.x[first + c]) / static_cast<double>(channels);
  }
  for (std::size_t c = 0; c < channels; ++c) {
    variance += std::pow(to_double(in.x[first + c]) - mean, 2) / static_cast<double>(channels);
  }
  const double rstd = 1 / std::sqrt(variance + eps);
  out.mean.push_back(mean);
  out.rstd.push_back(rstd);
  double mean_g = 0;
  double mean_g_xhat = 0;
  std::vector<double> xhat;
  std::vector<double> g;
  for (std::size_t c = 0; c < channels; ++c) {
    const double dy = to_double(in.dy[first + c]);
    xhat.push_back((to_double(in.x[first + c]) - mean) * rstd);
    g.push_back(dy * to_double(in.gamma[c]));
    out.y.push_back(xhat[c] * to_double(in.gamma[c]) + to_double(in.beta[c]));
    out.dgamma[c] += dy * xhat[c];
    out.dbeta[c] += dy;
    mean_g += g[c] / static_cast<double>(channels);
    mean_g_xhat += g[c] * xhat[c] / static_cast<double>(channels);
  }
  for (std::size_t c = 0; c < channels; ++c) {
    out.dx.push_back(rstd * (g[c] - mean_g - xhat[c] * mean_g_xhat));
  }
}

template <class T>
Reference reference(const Case<T>& in, double eps = double{kEps}) {
  Reference out;
  out.dgamma.assign(in.gamma.size(), 0);
  out.dbeta.assign(in.gamma.size(), 0);
  for (std::int64_t row = 0; row < in.rows; ++row) {
    add_row(in, row, eps, out);
  }
  return out;
}

template <class T>
std::vector<double> sum(std::vector<double> a, const std::vector<T>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i] += to_double(b[i]);
  }
  return a;
}

template <class T>
class LayerNormKernel : public ::testing::Test {};
TYPED_TEST_SUITE(LayerNormKernel, KernelTypes);

TYPED_TEST(LayerNormKernel, ForwardIsTheReference) {
  for (const auto& [rows, channels] : kShapes) {
    SCOPED_TRACE(::testing::Message() << rows << " x " << channels);
    Case<TypeParam> c(rows, channels);
    const Reference expected = reference(c);
    run_kernel(c.forward());
    EXPECT_TRUE(is_close(c.mean, expected.mean, {1e-6, 1e-6}));
    EXPECT_TRUE(is_close(c.rstd, expected.rstd, {1e-6, 0}));
    EXPECT_TRUE(is_close(c.y, expected.y, tolerance<TypeParam>({1e-6, 2e-6})));
  }
}

TYPED_TEST(LayerNormKernel, VarianceKeepsItsDigitsFarFromZero) {
  Case<float> c(4, 768, 1000);
  const Reference expected = reference(c);
  run_kernel(c.forward());
  EXPECT_TRUE(is_close(c.rstd, expected.rstd, {1e-6, 0}));
}

TYPED_TEST(LayerNormKernel, ReusedStatisticsGiveTheSameBits) {
  for (const auto& [rows, channels] : kShapes) {
    Case<TypeParam> c(rows, channels);
    run_kernel(c.forward());
    const auto y = std::exchange(c.y, std::vector<TypeParam>(c.y.size()));
    LayerNormForward again = c.forward();
    again.reuse_statistics = true;
    run_kernel(again);
    EXPECT_TRUE(same_bits(c.y, y));
  }
}

// Rows whose squares, sum or differences are beyond f32: evenly spread, one far out, and all on one side.
template <class T>
Case<T> wide_rows(double scale) {
  constexpr std::int64_t kChannels = 770;
  Case<T> c(3, kChannels);
  const auto x = random_values<double>(3 * kChannels, 8, -scale, scale);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t row = i / kChannels;
    const double far_out = i % kChannels == 5 ? scale : -scale + x[i] / 100;
    c.x[i] = testing::rounded<T>(row == 0 ? x[i] : row == 1 ? far_out : 0.75 * scale + x[i] / 4);
  }
  return c;
}

TYPED_TEST(LayerNormKernel, WideRowsAreTheReference) {
  for (const double scale : {1e15, 1e19, 2e19, 1e25, 1e30, 1e37, 3e38}) {
    SCOPED_TRACE(scale);
    auto c = wide_rows<TypeParam>(scale);
    const Reference expected = reference(c);
    run_kernel(c.forward());
    EXPECT_TRUE(is_close(c.mean, expected.mean, {1e-6, 1e-6 * scale}));
    EXPECT_TRUE(is_close(c.rstd, expected.rstd, {1e-6, 0}));
    EXPECT_TRUE(is_close(c.y, expected.y, tolerance<TypeParam>({2e-6, 2e-6})));
    const auto y = std::exchange(c.y, std::vector<TypeParam>(c.y.size()));
    LayerNormForward again = c.forward();
    again.reuse_statistics = true;
    run_kernel(again);
    EXPECT_TRUE(same_bits(c.y, y));
    run_kernel(c.backward(false));
    // What is below the least number of the dtype is lost.
    EXPECT_TRUE(is_close(c.dx, expected.dx, tolerance<TypeParam>({4e-6, 4e-6 * expected.rstd[0] + 1e-40})));
    EXPECT_TRUE(is_close(c.dgamma, expected.dgamma, {2e-6, 1e-5}));
    EXPECT_TRUE(is_close(c.dbeta, expected.dbeta, {2e-6, 4e-6}));
  }
}

TYPED_TEST(LayerNormKernel, NarrowRowsAreTheReferenceWithoutAnEpsilon) {
  Case<TypeParam> c(3, 97);
  for (std::size_t i = 0; i < c.x.size(); ++i) {
    c.x[i] = testing::rounded<TypeParam>(to_double(c.x[i]) * 1e-25);
  }
  LayerNormForward kernel = c.forward();
  kernel.eps = 0;
  run_kernel(kernel);
  EXPECT_TRUE(is_close(c.y, reference(c, 0).y, tolerance<TypeParam>({2e-6, 2e-6})));
}

TYPED_TEST(LayerNormKernel, ARowThatIsNotFiniteIsNotFiniteAfterwards) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const float bad : {kInf, -kInf, std::numeric_limits<float>::quiet_NaN()}) {
    Case<TypeParam> c(3, 97);
    run_kernel(c.forward());
    const auto y = c.y;
    c.x[97 + 13] = testing::rounded<TypeParam>(bad);
    run_kernel(c.forward());
    for (std::size_t i = 0; i < c.y.size(); ++i) {
      const double got = to_double(c.y[i]);
      EXPECT_TRUE(i / 97 == 1 ? !std::isfinite(got) : got == to_double(y[i])) << bad << " at " << i << ": " << got;
    }
  }
}

TYPED_TEST(LayerNormKernel, BackwardIsTheReference) {
  for (const auto& [rows, channels] : kShapes) {
    for (const bool accumulate : {false, true}) {
      SCOPED_TRACE(::testing::Message() << rows << " x " << channels << (accumulate ? " added" : ""));
      Case<TypeParam> c(rows, channels);
      run_kernel(c.forward());
      Reference expected = reference(c);
      if (accumulate) {
        expected.dx = sum(expected.dx, c.dx);
        expected.dgamma = sum(expected.dgamma, c.dgamma);
        expected.dbeta = sum(expected.dbeta, c.dbeta);
      }
      run_kernel(c.backward(accumulate));
      EXPECT_TRUE(is_close(c.dx, expected.dx, tolerance<TypeParam>({2e-6, channels == 1 ? 1e-4 : 4e-6})));
      EXPECT_TRUE(is_close(c.dgamma, expected.dgamma, {2e-6, 4e-6}));
      EXPECT_TRUE(is_close(c.dbeta, expected.dbeta, {2e-6, 4e-6}));
    }
  }
}

TYPED_TEST(LayerNormKernel, EachAccumulateFlagIsItsOwn) {
  for (int flag = 0; flag < 3; ++flag) {
    Case<TypeParam> plain(40, 33);
    run_kernel(plain.forward());
    Case<TypeParam> mixed = plain;
    const Case<TypeParam> before = plain;
    run_kernel(plain.backward(false));
    LayerNormBackward kernel = mixed.backward(false);
    kernel.accumulate_dx = flag == 0;
    kernel.accumulate_dgamma = flag == 1;
    kernel.accumulate_dbeta = flag == 2;
    run_kernel(kernel);
    EXPECT_EQ(same_bits(mixed.dx, plain.dx), flag != 0);
    EXPECT_EQ(same_bits(mixed.dgamma, plain.dgamma), flag != 1);
    EXPECT_EQ(same_bits(mixed.dbeta, plain.dbeta), flag != 2);
  }
}

TYPED_TEST(LayerNormKernel, ParameterGradientsMayBeUnwanted) {
  Case<TypeParam> with(20, 97);
  run_kernel(with.forward());
  Case<TypeParam> without = with;
  run_kernel(with.backward(false));
  LayerNormBackward kernel = without.backward(false);
  kernel.dgamma = nullptr;
  kernel.dbeta = nullptr;
  cpu::Machine machine(1);
  EXPECT_EQ(cpu::workspace_of_kernel(machine, kernel), 0);
  run_kernel(kernel);
  EXPECT_TRUE(same_bits(with.dx, without.dx));
}

TYPED_TEST(LayerNormKernel, BitsDoNotDependOnThreads) {
  Case<TypeParam> one(1100, 97);
  Case<TypeParam> many = one;
  run_kernel(one.forward(), 1);
  run_kernel(one.backward(true), 1);
  for (const int threads : {1, 2, 3}) {
    Case<TypeParam> c = many;
    run_kernel(c.forward(), threads);
    run_kernel(c.backward(true), threads);
    EXPECT_TRUE(same_bits(c.y, one.y) && same_bits(c.mean, one.mean) && same_bits(c.rstd, one.rstd));
    EXPECT_TRUE(same_bits(c.dx, one.dx) && same_bits(c.dgamma, one.dgamma) && same_bits(c.dbeta, one.dbeta));
  }
}

}  // namespace
}  // namespace retape::nn
