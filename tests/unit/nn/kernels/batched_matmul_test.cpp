#include "nn/kernels/batched_matmul.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/random_values.h"
#include "tests/unit/nn/kernels/run_kernel.h"

namespace retape::nn {
namespace {

using testing::random_values;

template <class T>
class MatmulBatchKernel : public ::testing::Test {};
TYPED_TEST_SUITE(MatmulBatchKernel, KernelTypes);

TYPED_TEST(MatmulBatchKernel, HasTheBitsOfEachProductAlone) {
  constexpr std::int64_t kBatch = 3;
  Matmul product{.m = 7, .n = 33, .k = 65, .transpose_b = true, .in = kDTypeOf<TypeParam>};
  const auto a = random_values<TypeParam>(kBatch * product.m * product.k, 1);
  const auto b = random_values<TypeParam>(kBatch * product.k * product.n, 2);
  std::vector<float> together(static_cast<std::size_t>(kBatch * product.m * product.n));
  std::vector<float> alone(together.size());
  for (std::int64_t i = 0; i < kBatch; ++i) {
    product.a = a.data() + i * product.m * product.k;
    product.b = b.data() + i * product.k * product.n;
    product.c = alone.data() + i * product.m * product.n;
    run_kernel(product);
  }
  product.a = a.data();
  product.b = b.data();
  product.c = together.data();
  run_kernel(MatmulBatch{.first = product, .batch = kBatch});
  EXPECT_TRUE(testing::same_bits(together, alone));
}

}  // namespace
}  // namespace retape::nn
