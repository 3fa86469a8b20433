#include "nn/kernels/dropout.h"

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
using testing::to_double;
using testing::to_doubles;
using testing::tolerance;

// The counter of the second starts just below a carry into its upper word.
const std::vector<RngRange> kRanges{{0x0123456789abcdef, 0}, {7, 0xfffffffe}, {~std::uint64_t{0}, 0x3fffffffffff}};

template <class T>
std::vector<double> dropped(const std::vector<T>& x, float p, const RngRange& rng) {
  std::vector<double> out;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const bool drop = p > 0 && rng.bits(static_cast<Elems>(i)) < drop_threshold(p);
    out.push_back(drop ? 0 : to_double(x[i]) / (1 - double{p}));
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
class DropoutKernel : public ::testing::Test {};
TYPED_TEST_SUITE(DropoutKernel, KernelTypes);

TYPED_TEST(DropoutKernel, ForwardIsTheReference) {
  for (const RngRange& rng : kRanges) {
    for (const Elems elems : {1, 5, 97, 5003}) {
      for (const float p : {0.0F, 0.1F, 0.5F, 0.9F}) {
        SCOPED_TRACE(::testing::Message() << elems << " at " << p);
        const auto x = random_values<TypeParam>(elems, 1, 0.5, 1);
        const auto residual = random_values<TypeParam>(elems, 2);
        std::vector<TypeParam> out(x.size());
        DropoutResidualForward kernel{
            .x = x.data(), .out = out.data(), .elems = elems, .p = p, .rng = rng, .dtype = kDTypeOf<TypeParam>};
        run_kernel(kernel);
        // No absolute tolerance: what is dropped is zero.
        EXPECT_TRUE(is_close(out, dropped(x, p, rng), tolerance<TypeParam>({2e-7, 0})));
        kernel.residual = residual.data();
        run_kernel(kernel);
        EXPECT_TRUE(is_close(out, sum(dropped(x, p, rng), residual), tolerance<TypeParam>({2e-7, 2e-6})));
      }
    }
  }
}

TYPED_TEST(DropoutKernel, ForwardMayOverwriteEitherInput) {
  const RngRange rng{5, 11};
  const Elems elems = 4099;
  const auto x = random_values<TypeParam>(elems, 1);
  const auto residual = random_values<TypeParam>(elems, 2);
  std::vector<TypeParam> out(x.size());
  const auto forward = [&](const void* from, const void* added, void* to) {
    run_kernel(DropoutResidualForward{
        .x = from, .residual = added, .out = to, .elems = elems, .p = 0.2F, .rng = rng, .dtype = kDTypeOf<TypeParam>});
  };
  forward(x.data(), residual.data(), out.data());
  auto over_x = x;
  forward(over_x.data(), residual.data(), over_x.data());
  auto over_residual = residual;
  forward(x.data(), over_residual.data(), over_residual.data());
  EXPECT_TRUE(same_bits(over_x, out));
  EXPECT_TRUE(same_bits(over_residual, out));
}

TYPED_TEST(DropoutKernel, BackwardIsTheReference) {
  for (const RngRange& rng : kRanges) {
    for (const Elems elems : {1, 97, 5003}) {
      for (const float p : {0.0F, 0.1F}) {
        const auto dout = random_values<TypeParam>(elems, 1, 0.5, 1);
        auto dx = random_values<TypeParam>(elems, 2);
        const auto before = dx;
        DropoutBackward kernel{
            .dout = dout.data(), .dx = dx.data(), .elems = elems, .p = p, .rng = rng, .dtype = kDTypeOf<TypeParam>};
        run_kernel(kernel);
        EXPECT_TRUE(is_close(dx, dropped(dout, p, rng), tolerance<TypeParam>({2e-7, 0})));
        dx = before;
        kernel.accumulate = true;
        run_kernel(kernel);
        EXPECT_TRUE(is_close(dx, sum(dropped(dout, p, rng), before), tolerance<TypeParam>({2e-7, 2e-6})));
        auto in_place = dout;
        kernel.dout = in_place.data();
        kernel.dx = in_place.data();
        kernel.accumulate = false;
        run_kernel(kernel);
        EXPECT_TRUE(is_close(in_place, dropped(dout, p, rng), tolerance<TypeParam>({2e-7, 0})));
      }
    }
  }
}

TYPED_TEST(DropoutKernel, WhatIsDroppedMayBeAnything) {
  const RngRange rng{3, 0};
  std::vector<TypeParam> x(1000, testing::rounded<TypeParam>(INFINITY));
  std::vector<TypeParam> out(x.size());
  run_kernel(DropoutResidualForward{
      .x = x.data(), .out = out.data(), .elems = 1000, .p = 0.5F, .rng = rng, .dtype = kDTypeOf<TypeParam>});
  const std::vector<double> values = to_doubles(out);
  for (Elems e = 0; e < 1000; ++e) {
    EXPECT_EQ(values[static_cast<std::size_t>(e)], rng.bits(e) < drop_threshold(0.5F) ? 0 : INFINITY);
  }
}

TYPED_TEST(DropoutKernel, BitsDoNotDependOnThreads) {
  const Elems elems = 20011;
  const auto x = random_values<TypeParam>(elems, 1);
  const auto residual = random_values<TypeParam>(elems, 2);
  std::vector<std::vector<TypeParam>> results;
  for (const int threads : {1, 1, 2, 3}) {
    results.emplace_back(x.size());
    run_kernel(DropoutResidualForward{.x = x.data(),
                                      .residual = residual.data(),
                                      .out = results.back().data(),
                                      .elems = elems,
                                      .p = 0.1F,
                                      .rng = {9, 9},
                                      .dtype = kDTypeOf<TypeParam>},
               threads);
    EXPECT_TRUE(same_bits(results.back(), results.front()));
  }
}

}  // namespace
}  // namespace retape::nn
