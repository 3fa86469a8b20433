// The loss of a step, the norms of its gradients and what clipping makes of them. They stay on the device, so that
// nothing waits for it before the step ends.
#pragma once

#include <vector>

#include "nn/layers/parameter.h"

namespace retape::nn {

class StepNumbers {
 public:
  // For a model with so many parameters: 8 bytes for each, and 24.
  StepNumbers(Context& context, std::size_t parameters);

  // A new step: the loss is 0.
  void begin();
  // Adds the loss of a micro-step, f32 [].
  void add_loss(Context& context, const Tensor& loss);
  // The L2 norm of each parameter's gradient, 0 where there is none, and that of all together. Sums are f64 in a fixed
  // order. The scale brings the global norm down to `limit` as PyTorch's clip_grad_norm_ does, min(1, limit / (norm +
  // 1e-6)); it is 1 where `limit` is 0, and NaN where the loss or the norm is not finite.
  void measure(Context& context, const Parameters& parameters, double limit);

  // f64 [], for AdamW.
  Tensor scale() const { return at(kScale); }

  struct Values {
    double loss = 0;
    double norm = 0;                 // of all gradients together
    std::vector<double> norms = {};  // of each parameter
  };
  // Waits until the device has them.
  Values read() const;

 private:
  enum Place : std::int64_t { kLoss, kNorm, kScale, kSquares };
  Tensor at(std::int64_t place) const;

  Tensor values_;  // f64
};

}  // namespace retape::nn
