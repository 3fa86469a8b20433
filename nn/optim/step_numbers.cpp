#include "nn/optim/step_numbers.h"

#include <cmath>

#include "nn/kernels/elementwise.h"
#include "nn/kernels/launch.h"
#include "nn/kernels/step_numbers.h"

namespace retape::nn {

StepNumbers::StepNumbers(Context& context, std::size_t parameters)
    : values_(context.device(), Shape{kSquares + static_cast<std::int64_t>(parameters)}, DType::f64, Tag::optimizer) {
  begin();
}

Tensor StepNumbers::at(std::int64_t place) const {
  return {std::make_shared<Storage>(values_.storage(), place * size_of(DType::f64)), Shape{}, DType::f64};
}

void StepNumbers::begin() {
  values_.fill_zero();
}

void StepNumbers::add_loss(Context& context, const Tensor& loss) {
  launch(context, AddToSum{.x = loss.data_as<float>(), .sum = at(kLoss).data_as<double>()});
}

void StepNumbers::measure(Context& context, const Parameters& parameters, double limit) {
  double* const squares = values_.data_as<double>() + kSquares;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Tensor& gradient = parameters[i]->gradient().gradient;
    if (gradient.defined()) {
      launch(context, SumOfSquares{.x = gradient.data_as<float>(), .sum = squares + i, .elems = gradient.elems()});
    }
  }
  launch(context, ClipScale{.squares = squares,
                            .loss = at(kLoss).data_as<double>(),
                            .norm = at(kNorm).data_as<double>(),
                            .scale = at(kScale).data_as<double>(),
                            .count = static_cast<std::int64_t>(parameters.size()),
                            .limit = limit});
}

StepNumbers::Values StepNumbers::read() const {
  const std::vector<double> values = values_.to_host<double>();
  Values read{.loss = values[kLoss], .norm = values[kNorm]};
  for (std::size_t i = kSquares; i < values.size(); ++i) {
    read.norms.push_back(std::sqrt(values[i]));
  }
  return read;
}

}  // namespace retape::nn
