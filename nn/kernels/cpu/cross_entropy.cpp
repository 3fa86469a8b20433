#include "nn/kernels/cross_entropy.h"

#include <cmath>

#include "nn/kernels/cpu/blocks.h"
#include "nn/kernels/cpu/exponential_sums.h"
#include "nn/kernels/cpu/implement.h"
#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {
namespace {

template <class T>
struct Row {
  const T* logits;
  std::int64_t vocab;
  std::int64_t target;
  float max;
  double sum;  // of exp(logit - max)

  Row(const T* first_logit, std::int64_t vocab_size, std::int64_t target_id)
      : logits(first_logit),
        vocab(vocab_size),
        target(target_id),
        max(largest(logits, vocab)),
        sum(sum_of_exponentials(logits, vocab, max)) {}

  double target_below_max() const { return double{to_float(logits[target])} - double{max}; }
};

template <class T, class G>
void gradient(const Row<T>& row, float scale, bool accumulate, G* dlogits) {
  const auto factor = static_cast<float>(double{scale} / row.sum);
  // First, since dlogits may be logits.
  double at_target = double{scale} * (std::exp(row.target_below_max()) / row.sum - 1);
  if (accumulate) {
    at_target += double{to_float(dlogits[row.target])};
  }
  for_each_vector(0, row.vocab, [=, logits = row.logits, max = row.max](Elems v, auto lanes) {
    const FloatVector probability = hn::Mul(exp(hn::Sub(load(logits + v, lanes), splat(max))), splat(factor));
    store_or_add(probability, dlogits + v, accumulate, lanes);
  });
  dlogits[row.target] = rounded<G>(static_cast<float>(at_target));
}

template <class T>
void run_rows(Machine& machine, const CrossEntropy& kernel) {
  const std::int64_t vocab = kernel.vocab;
  const float scale = kernel.dloss != nullptr ? kernel.gradient_scale * *kernel.dloss : kernel.gradient_scale;
  parallel_for(machine, kernel.rows, [&](std::int64_t r) {
    const Row<T> row(static_cast<const T*>(kernel.logits) + r * vocab, vocab, kernel.targets[r]);
    if (kernel.losses != nullptr) {
      kernel.losses[r] = static_cast<float>(std::log(row.sum) - row.target_below_max());
    }
    if (kernel.dlogits != nullptr) {
      dispatch(kernel.dtype, [&]<class G>(G) {
        gradient(row, scale, kernel.accumulate, static_cast<G*>(kernel.dlogits) + r * vocab);
      });
    }
  });
}

}  // namespace

void run(Machine& machine, const CrossEntropy& kernel) {
  dispatch(kernel.logits_dtype, [&]<class T>(T) { run_rows<T>(machine, kernel); });
}

template void run_kernel(Machine&, const CrossEntropy&);

}  // namespace retape::nn::cpu
