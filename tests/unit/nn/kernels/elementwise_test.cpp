#include "nn/kernels/elementwise.h"

#include <gtest/gtest.h>

#include <cstring>
#include <tuple>
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

template <class T>
class ElementwiseKernels : public ::testing::Test {};
TYPED_TEST_SUITE(ElementwiseKernels, KernelTypes);

TYPED_TEST(ElementwiseKernels, AddIsTheReferenceAndMayOverwrite) {
  for (const Elems elems : {1, 5, 97, 5003}) {
    const auto a = random_values<TypeParam>(elems, 1);
    const auto b = random_values<TypeParam>(elems, 2);
    std::vector<double> expected = to_doubles(a);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expected[i] += to_double(b[i]);
    }
    std::vector<TypeParam> out(a.size());
    const DType dtype = kDTypeOf<TypeParam>;
    run_kernel(Add{.a = a.data(), .b = b.data(), .out = out.data(), .elems = elems, .dtype = dtype});
    EXPECT_TRUE(is_close(out, expected, tolerance<TypeParam>({1e-7, 0})));
    auto over_b = b;
    run_kernel(Add{.a = a.data(), .b = over_b.data(), .out = over_b.data(), .elems = elems, .dtype = dtype});
    EXPECT_TRUE(same_bits(over_b, out));
  }
}

TYPED_TEST(ElementwiseKernels, ColumnSumIsTheReference) {
  for (const std::int64_t rows : {1, 17, 1000}) {
    for (const std::int64_t columns : {1, 5, 97, 768}) {
      for (const bool accumulate : {false, true}) {
        SCOPED_TRACE(::testing::Message() << rows << " x " << columns << (accumulate ? " added" : ""));
        const auto x = random_values<TypeParam>(rows * columns, 1);
        const auto before = random_values<float>(columns, 2);
        std::vector<double> expected(before.size(), 0);
        if (accumulate) {
          expected = to_doubles(before);
        }
        for (std::size_t i = 0; i < x.size(); ++i) {
          expected[i % expected.size()] += to_double(x[i]);
        }
        std::vector<float> first;
        for (const int threads : {1, 2, 3}) {
          auto sums = before;
          run_kernel(ColumnSum{.x = x.data(),
                               .sums = sums.data(),
                               .rows = rows,
                               .columns = columns,
                               .accumulate = accumulate,
                               .dtype = kDTypeOf<TypeParam>},
                     threads);
          EXPECT_TRUE(is_close(sums, expected, {1e-6, 1e-5}));
          first = first.empty() ? sums : first;
          EXPECT_TRUE(same_bits(sums, first));
        }
      }
    }
  }
}

template <class Types>
class ScaleKernel : public ::testing::Test {};
using ScaleTypes = ::testing::Types<std::tuple<float, float>, std::tuple<float, bf16>, std::tuple<bf16, float>,
                                    std::tuple<bf16, bf16>>;
TYPED_TEST_SUITE(ScaleKernel, ScaleTypes);

TYPED_TEST(ScaleKernel, IsTheReferenceForEveryPairOfTypes) {
  using In = std::tuple_element_t<0, TypeParam>;
  using Out = std::tuple_element_t<1, TypeParam>;
  for (const Elems elems : {1, 5, 97, 5003}) {
    const auto x = random_values<In>(elems, 1);
    auto out = random_values<Out>(elems, 2);
    std::vector<double> expected;
    expected.reserve(x.size());
    for (const In value : x) {
      expected.push_back(0.375 * to_double(value));
    }
    run_kernel(Scale{.x = x.data(),
                     .out = out.data(),
                     .elems = elems,
                     .factor = 0.375F,
                     .in = kDTypeOf<In>,
                     .out_dtype = kDTypeOf<Out>});
    EXPECT_TRUE(is_close(out, expected, tolerance<Out>({2e-7, 5e-8})));
  }
}

TEST(ScaleKernelRounding, GivesTheBitsOfToBf16) {
  std::vector<float> x;
  for (std::uint32_t high = 0; high < 0x10000; high += 3) {
    for (const std::uint32_t low : {0x0000U, 0x7fffU, 0x8000U, 0x8001U, 0xffffU}) {
      x.push_back(std::bit_cast<float>(high << 16 | low));
    }
  }
  std::vector<bf16> out(x.size());
  run_kernel(Scale{.x = x.data(), .out = out.data(), .elems = static_cast<Elems>(x.size()), .out_dtype = DType::bf16});
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_EQ(out[i].bits, to_bf16(x[i]).bits) << x[i];
  }
}

TEST(SumKernels, AreExactToF64InOneOrder) {
  for (const Elems elems : {0, 1, 5, 97, 16384, 16385, 100003, 5000011}) {
    SCOPED_TRACE(elems);
    const auto x = random_values<float>(elems, 1);
    long double sum = 0;
    long double squares = 0;
    for (const float value : x) {
      sum += value;
      squares += static_cast<long double>(value) * value;
    }
    std::vector<double> results;
    for (const int threads : {1, 2, 3}) {
      float mean = -1;
      run_kernel(ScaledMean{.x = x.data(), .out = &mean, .elems = elems, .factor = 3}, threads);
      results.push_back(mean);
      double result = -1;
      run_kernel(SumOfSquares{.x = x.data(), .sum = &result, .elems = elems}, threads);
      results.push_back(result);
    }
    if (elems > 0) {
      EXPECT_EQ(static_cast<float>(results[0]), static_cast<float>(3 * (sum / elems)));
      for (std::size_t i = 2; i < results.size(); ++i) {
        EXPECT_EQ(results[i], results[i % 2]);
      }
    }
    EXPECT_NEAR(results[1], static_cast<double>(squares), 1e-14 * static_cast<double>(squares));
  }
}

}  // namespace
}  // namespace retape::nn
