// AdamW over a model's parameters, with decay of the parameters of two or more dimensions only.
//
// Source: Loshchilov and Hutter 2019, arXiv:1711.05101.
#pragma once

#include <cstdint>
#include <vector>

#include "nn/layers/parameter.h"

namespace retape::nn {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.1;
};

class AdamW {
 public:
  // Moments start at zero. The parameters must outlive the optimizer.
  AdamW(Context& context, Parameters parameters, const AdamWOptions& options);

  // One step with the gradients times `scale`. A parameter without a gradient stays as it is. Where the scale is not
  // finite, weights and moments do, too, and the step counts all the same.
  void step(Context& context, double lr, double scale = 1);
  // The same with a scale that lies on the device, f64 []: whoever learns later that it was not finite sets the count
  // of steps back.
  void step(Context& context, double lr, const Tensor& scale);

  struct Moments {
    Tensor first;   // f32, shape of the parameter
    Tensor second;  // f32
  };
  const Parameters& parameters() const { return parameters_; }
  std::vector<Moments>& moments() { return moments_; }
  // Steps taken; the corrections of the moments depend on it.
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }

 private:
  void step(Context& context, double lr, float scale, const double* device_scale);

  Parameters parameters_;
  AdamWOptions options_;
  std::vector<Moments> moments_;  // in the order of the parameters
  std::int64_t steps_ = 0;
};

}  // namespace retape::nn
