#include "nn/kernels/strided_copy.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/random_values.h"
#include "tests/unit/nn/kernels/run_kernel.h"

namespace retape::nn {
namespace {

using testing::random_values;
using testing::same_bits;
using testing::to_double;
using Extents = StridedCopy::Extents;

struct Layout {
  Extents extents;
  Extents from_strides;
  Extents to_strides;
};

Elems dot(const Extents& at, const Extents& strides) {
  Elems sum = 0;
  for (std::size_t i = 0; i < at.size(); ++i) {
    sum += at[i] * strides[i];
  }
  return sum;
}

// f(position in from, position in to) for each element.
template <class F>
void for_each(const Layout& layout, F f) {
  const Extents& e = layout.extents;
  for (Elems i = 0; i < e[0] * e[1] * e[2] * e[3]; ++i) {
    const Extents at{i / (e[1] * e[2] * e[3]), i / (e[2] * e[3]) % e[1], i / e[3] % e[2], i % e[3]};
    f(dot(at, layout.from_strides), dot(at, layout.to_strides));
  }
}

// A transposition with tiles that end early, rows longer than a piece, many short rows, a transposition with a long
// last axis, a gather of every other element, and a single element.
const std::vector<Layout> kLayouts{
    {{1, 1, 130, 200}, {0, 0, 1, 130}, {0, 0, 200, 1}},
    {{1, 3, 1, 5000}, {0, 7000, 0, 1}, {0, 5000, 0, 1}},
    {{1, 1, 3001, 3}, {0, 0, 5, 1}, {0, 0, 3, 1}},
    {{2, 70, 3, 33}, {70 * 3 * 33, 33, 70 * 33, 1}, {70 * 3 * 33, 99, 33, 1}},
    {{3, 5, 7, 11}, {5, 1, 15, 105}, {385, 77, 11, 1}},
    {{1, 1, 1, 97}, {0, 0, 0, 2}, {0, 0, 0, 1}},
    {{1, 1, 1, 1}, {5, 6, 7, 8}, {5, 6, 7, 8}},
};

template <class T>
class StridedCopyKernel : public ::testing::Test {};
TYPED_TEST_SUITE(StridedCopyKernel, KernelTypes);

TYPED_TEST(StridedCopyKernel, PutsEachElementInItsPlace) {
  for (std::size_t i = 0; i < kLayouts.size(); ++i) {
    const Layout& layout = kLayouts[i];
    const auto from = random_values<TypeParam>(27000, 1);
    for (const int threads : {1, 2, 3}) {
      SCOPED_TRACE(::testing::Message() << "layout " << i << ", threads " << threads);
      auto copied = random_values<TypeParam>(27000, 2);
      auto added = random_values<float>(27000, 3);
      auto expected_copy = copied;
      auto expected_sum = added;
      for_each(layout, [&](Elems source, Elems target) {
        const TypeParam value = from[static_cast<std::size_t>(source)];
        expected_copy[static_cast<std::size_t>(target)] = value;
        expected_sum[static_cast<std::size_t>(target)] += static_cast<float>(to_double(value));
      });
      StridedCopy kernel{.from = from.data(),
                         .to = copied.data(),
                         .extents = layout.extents,
                         .from_strides = layout.from_strides,
                         .to_strides = layout.to_strides,
                         .dtype = kDTypeOf<TypeParam>,
                         .to_dtype = kDTypeOf<TypeParam>};
      run_kernel(kernel, threads);
      EXPECT_TRUE(same_bits(copied, expected_copy));
      kernel.to = added.data();
      kernel.to_dtype = DType::f32;
      kernel.accumulate = true;
      run_kernel(kernel, threads);
      EXPECT_TRUE(same_bits(added, expected_sum));
    }
  }
}

}  // namespace
}  // namespace retape::nn
