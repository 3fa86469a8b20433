#include "nn/kernels/cross_entropy.h"

#include <gtest/gtest.h>

#include <algorithm>
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
using testing::tolerance;

const std::vector<std::pair<std::int64_t, std::int64_t>> kShapes{{1, 1}, {4, 5}, {9, 97}, {3, 2048}, {2, 50257}};

template <class T>
struct Case {
  Case(std::int64_t row_count, std::int64_t vocab_size, double spread = 6)
      : rows(row_count),
        vocab(vocab_size),
        logits(random_values<float>(rows * vocab, 1, -spread, spread)),
        targets(testing::random_indices(rows, 2, static_cast<std::int32_t>(vocab))),
        losses(targets.size()),
        dlogits(logits.size()) {}

  CrossEntropy kernel() {
    return {.logits = logits.data(),
            .targets = targets.data(),
            .losses = losses.data(),
            .dlogits = dlogits.data(),
            .rows = rows,
            .vocab = vocab,
            .gradient_scale = 0.25F,
            .dtype = kDTypeOf<T>};
  }

  std::int64_t rows;
  std::int64_t vocab;
  std::vector<float> logits;
  std::vector<std::int32_t> targets;
  std::vector<float> losses;
  std::vector<T> dlogits;
};

struct Reference {
  std::vector<double> losses, dlogits;
};

template <class T>
Reference reference(const Case<T>& in) {
  Reference out;
  for (std::int64_t row = 0; row < in.rows; ++row) {
    const std::vector<float> logits(in.logits.begin() + row * in.vocab, in.logits.begin() + (row + 1) * in.vocab);
    const auto target = static_cast<std::size_t>(in.targets[static_cast<std::size_t>(row)]);
    const double max = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (const float logit : logits) {
      sum += std::exp(logit - max);
    }
    out.losses.push_back(std::log(sum) + max - logits[target]);
    for (std::size_t v = 0; v < logits.size(); ++v) {
      out.dlogits.push_back(0.25 * (std::exp(logits[v] - max) / sum - (v == target ? 1 : 0)));
    }
  }
  return out;
}

template <class T>
class CrossEntropyKernel : public ::testing::Test {};
TYPED_TEST_SUITE(CrossEntropyKernel, KernelTypes);

TYPED_TEST(CrossEntropyKernel, IsTheReference) {
  for (const auto& [rows, vocab] : kShapes) {
    SCOPED_TRACE(::testing::Message() << rows << " x " << vocab);
    Case<TypeParam> c(rows, vocab);
    const Reference expected = reference(c);
    run_kernel(c.kernel());
    EXPECT_TRUE(is_close(c.losses, expected.losses, {3e-7, 3e-7}));
    EXPECT_TRUE(is_close(c.dlogits, expected.dlogits, tolerance<TypeParam>({2e-6, 1e-12})));
  }
}

TYPED_TEST(CrossEntropyKernel, FarLogitsNeitherOverflowNorMakeNan) {
  Case<TypeParam> c(3, 97, 4000);
  c.logits[1] = -std::numeric_limits<float>::infinity();
  const Reference expected = reference(c);
  run_kernel(c.kernel());
  EXPECT_TRUE(is_close(c.losses, expected.losses, {3e-7, 3e-7}));
  EXPECT_TRUE(is_close(c.dlogits, expected.dlogits, tolerance<TypeParam>({2e-4, 1e-12})));
}

TYPED_TEST(CrossEntropyKernel, LogitsOfAnySizeNeitherOverflowNorMakeNan) {
  Case<TypeParam> c(2, 97);
  c.logits[3] = 3e38F;
  c.logits[4] = -3e38F;
  c.logits[97 + 3] = -3e38F;
  c.targets = {3, 5};
  const Reference expected = reference(c);
  run_kernel(c.kernel());
  EXPECT_TRUE(is_close(c.losses, expected.losses, {3e-7, 3e-7}));
  EXPECT_TRUE(is_close(c.dlogits, expected.dlogits, tolerance<TypeParam>({2e-6, 1e-12})));
}

TYPED_TEST(CrossEntropyKernel, TakesLogitsOfEitherDtypeAndAddsTheGradient) {
  Case<TypeParam> c(9, 97);
  std::vector<TypeParam> logits;
  for (float& logit : c.logits) {
    logits.push_back(testing::rounded<TypeParam>(logit));
    logit = static_cast<float>(testing::to_double(logits.back()));
  }
  const float dloss = -1.5F;
  const auto before = random_values<float>(9 * 97, 3);
  Reference expected = reference(c);
  std::vector<float> dlogits = before;
  for (std::size_t i = 0; i < before.size(); ++i) {
    expected.dlogits[i] = expected.dlogits[i] * double{dloss} + double{before[i]};
  }
  CrossEntropy kernel = c.kernel();
  kernel.logits = logits.data();
  kernel.logits_dtype = kDTypeOf<TypeParam>;
  kernel.losses = nullptr;
  kernel.dloss = &dloss;
  kernel.dlogits = dlogits.data();
  kernel.accumulate = true;
  kernel.dtype = DType::f32;
  run_kernel(kernel);
  EXPECT_TRUE(is_close(dlogits, expected.dlogits, {2e-6, 1e-7}));
}

TYPED_TEST(CrossEntropyKernel, LossesAloneHaveTheSameBits) {
  Case<TypeParam> both(9, 97);
  Case<TypeParam> alone = both;
  run_kernel(both.kernel());
  CrossEntropy kernel = alone.kernel();
  kernel.dlogits = nullptr;
  run_kernel(kernel);
  EXPECT_TRUE(same_bits(alone.losses, both.losses));
}

TYPED_TEST(CrossEntropyKernel, BitsDoNotDependOnThreads) {
  Case<TypeParam> one(23, 1003);
  run_kernel(one.kernel(), 1);
  for (const int threads : {1, 2, 3}) {
    Case<TypeParam> c(23, 1003);
    run_kernel(c.kernel(), threads);
    EXPECT_TRUE(same_bits(c.losses, one.losses) && same_bits(c.dlogits, one.dlogits));
  }
}

TEST(CrossEntropyKernelInPlace, HasTheSameBits) {
  Case<float> apart(9, 97);
  Case<float> in_place = apart;
  run_kernel(apart.kernel());
  CrossEntropy kernel = in_place.kernel();
  kernel.dlogits = in_place.logits.data();
  run_kernel(kernel);
  EXPECT_TRUE(same_bits(in_place.losses, apart.losses));
  EXPECT_TRUE(same_bits(in_place.logits, apart.dlogits));
}

TEST(CrossEntropyKernelNan, ReachesTheLoss) {
  for (std::size_t at = 0; at < 97; ++at) {
    Case<float> c(1, 97);
    c.logits[at] = std::numeric_limits<float>::quiet_NaN();
    run_kernel(c.kernel());
    EXPECT_TRUE(std::isnan(c.losses[0])) << at;
  }
}

}  // namespace
}  // namespace retape::nn
