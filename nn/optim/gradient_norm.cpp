#include "nn/optim/gradient_norm.h"

#include <algorithm>
#include <cmath>

#include "nn/kernels/elementwise.h"
#include "nn/kernels/launch.h"

namespace retape::nn {

std::vector<double> gradient_norms(Context& context, const Parameters& parameters) {
  std::vector<double> norms;
  norms.reserve(parameters.size());
  for (Parameter* parameter : parameters) {
    const Tensor& gradient = parameter->gradient().gradient;
    double sum = 0;
    if (gradient.defined()) {
      launch(context, SumOfSquares{.x = gradient.data_as<float>(), .sum = &sum, .elems = gradient.elems()});
    }
    norms.push_back(std::sqrt(sum));
  }
  return norms;
}

double global_norm(const std::vector<double>& norms) {
  double sum = 0;
  for (const double norm : norms) {
    sum += norm * norm;
  }
  return std::sqrt(sum);
}

double clip_factor(double norm, double limit) {
  constexpr double kEpsilon = 1e-6;
  return limit > 0 ? std::min(1.0, limit / (norm + kEpsilon)) : 1.0;
}

}  // namespace retape::nn
