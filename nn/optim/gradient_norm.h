// Norms of gradients, and clipping by the global one.
#pragma once

#include <vector>

#include "nn/layers/parameter.h"

namespace retape::nn {

// The L2 norm of each parameter's gradient, 0 where there is none. Sums are f64 in a fixed order.
std::vector<double> gradient_norms(Context& context, const Parameters& parameters);

// The norm of all together.
double global_norm(const std::vector<double>& norms);

// What gradients are multiplied with so that their global norm is at most `limit`: min(1, limit / (norm + 1e-6)), as
// PyTorch's clip_grad_norm_ does; 1 where `limit` is 0.
double clip_factor(double norm, double limit);

}  // namespace retape::nn
