#include "nn/kernels/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "tests/support/random_values.h"
#include "tests/unit/nn/kernels/run_kernel.h"

namespace retape::nn {
namespace {

using testing::is_close;
using testing::same_bits;

std::vector<float> filled(Elems elems, double stddev, const RngRange& rng, int threads) {
  std::vector<float> out(static_cast<std::size_t>(elems));
  run_kernel(NormalFill{.out = out.data(), .elems = elems, .stddev = stddev, .rng = rng}, threads);
  return out;
}

TEST(NormalFill, IsItsFormulaElementByElement) {
  const RngRange rng{.seed = 0x123456789abcdef0, .offset = 0xfffffffd};  // the counter goes over 2^32
  for (const Elems elems : {1, 5, 4099}) {
    std::vector<double> expected;
    for (Elems e = 0; e < elems; ++e) {
      const double u = (rng.bits(2 * e) + 1.0) / 4294967296.0;
      const double v = rng.bits(2 * e + 1) / 4294967296.0;
      expected.push_back(0.02 * std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v));
    }
    // What rounding to f32 costs.
    EXPECT_TRUE(is_close(filled(elems, 0.02, rng, 2), expected, {0x1.01p-24, 1e-15}));
  }
}

TEST(NormalFill, BitsDoNotDependOnThreads) {
  const RngRange rng{.seed = 3, .offset = 5};
  const std::vector<float> one = filled(4099, 1, rng, 1);
  for (const int threads : {2, 3}) {
    EXPECT_TRUE(same_bits(filled(4099, 1, rng, threads), one));
  }
}

}  // namespace
}  // namespace retape::nn
