#include "nn/optim/adamw.h"

#include <cmath>

#include "nn/kernels/adamw.h"
#include "nn/kernels/launch.h"

namespace retape::nn {

AdamW::AdamW(Context& context, Parameters parameters, const AdamWOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  moments_.reserve(parameters_.size());
  for (const Parameter* parameter : parameters_) {
    Moments& moments = moments_.emplace_back();
    for (Tensor* moment : {&moments.first, &moments.second}) {
      *moment = Tensor(context.device(), parameter->shape(), DType::f32, Tag::optimizer);
      moment->fill_zero();
    }
  }
}

void AdamW::step(Context& context, double lr, double scale) {
  step(context, lr, static_cast<float>(scale), nullptr);
}

void AdamW::step(Context& context, double lr, const Tensor& scale) {
  step(context, lr, 1, scale.data_as<double>());
}

void AdamW::step(Context& context, double lr, float scale, const double* device_scale) {
  ++steps_;
  const auto t = static_cast<double>(steps_);
  // The kernel averages with the betas in f32, so their corrections are those of the rounded numbers.
  const auto beta1 = static_cast<float>(options_.beta1);
  const auto beta2 = static_cast<float>(options_.beta2);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& parameter = *parameters_[i];
    const Tensor& gradient = parameter.gradient().gradient;
    if (!gradient.defined()) {
      continue;
    }
    parameter.note_write();
    const bool separate = parameter.working().storage() != parameter.weight().storage();
    launch(context,
           AdamWUpdate{.weight = parameter.weight().data_as<float>(),
                       .first_moment = moments_[i].first.data_as<float>(),
                       .second_moment = moments_[i].second.data_as<float>(),
                       .gradient = gradient.data_as<float>(),
                       .working = separate ? parameter.working().data_as<bf16>() : nullptr,
                       .elems = parameter.elems(),
                       .scale = scale,
                       .device_scale = device_scale,
                       .lr = static_cast<float>(lr),
                       .beta1 = beta1,
                       .beta2 = beta2,
                       .eps = static_cast<float>(options_.eps),
                       .weight_decay = parameter.shape().rank() >= 2 ? static_cast<float>(options_.weight_decay) : 0.0F,
                       .bias_correction1 = static_cast<float>(1 - std::pow(double{beta1}, t)),
                       .bias_correction2 = static_cast<float>(1 - std::pow(double{beta2}, t))});
  }
}

}  // namespace retape::nn
