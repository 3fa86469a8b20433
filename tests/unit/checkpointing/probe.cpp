#include "tests/unit/checkpointing/probe.h"

#include <algorithm>
#include <stdexcept>

#include "nn/ops/dropout.h"
#include "tests/support/random_values.h"
#include "tests/support/test_ops.h"

namespace retape::checkpointing {

using nn::Tape;
using nn::Tensor;
using nn::Var;

int ProbeLog::runs(int id) const {
  return static_cast<int>(std::count(forward.begin(), forward.end(), id));
}

nn::Outputs Probe::forward(nn::Context& context, const Args& args, const nn::Inputs& inputs) {
  args.log->forward.push_back(args.id);
  if (static_cast<int>(args.log->forward.size()) == args.log->fail_in_run) {
    throw std::runtime_error("forward");
  }
  const Tensor y(context.device(), inputs[0].shape(), nn::DType::f32, context.output_tag());
  if (context.device().computes()) {
    const auto* x = inputs[0].data_as<float>();
    std::transform(x, x + y.elems(), y.data_as<float>(), [](float value) { return value + value * value / 8; });
  }
  return {y};
}

void Probe::backward(nn::Context& context, const Args& args, const nn::Saved& saved, nn::Gradients& gradients) {
  args.log->backward.push_back(args.id);
  if (static_cast<int>(args.log->backward.size()) == args.log->fail_in_backward) {
    throw std::runtime_error("backward");
  }
  args.log->read[args.id] = saved.inputs[0].data();
  const nn::GradSink sink = gradients.sink(0);
  if (!context.device().computes()) {
    return;
  }
  const auto* x = saved.inputs[0].data_as<float>();
  const auto* dy = gradients.dout(0).data_as<float>();
  auto* dx = sink.tensor.data_as<float>();
  for (Elems i = 0; i < sink.tensor.elems(); ++i) {
    dx[i] = dy[i] * (1 + x[i] / 4) + (sink.accumulate ? dx[i] : 0.0F);
  }
}

Var Probes::leaf(Tape& tape, const nn::Shape& shape, nn::Placement placement, std::uint64_t seed) {
  Tensor x(rank_.device, shape, nn::DType::f32, nn::Tag::parameters);
  x.from_host<float>(retape::testing::random_values<float>(x.elems(), seed));
  return tape.leaf(std::move(x), &slot_, "x", placement);
}

Var Probes::sum(Tape& tape, Var a, Var b) {
  return nn::dropout_residual(tape, std::move(a), std::move(b), 0);
}

Var Probes::loss(Tape& tape, Var y) {
  Tensor weights(rank_.device, y.shape(), nn::DType::f32, nn::Tag::parameters);
  weights.from_host<float>(retape::testing::random_values<float>(weights.elems(), 2));
  return tape.run<nn::WeightedSum>({.quadratic = true}, {std::move(y), tape.leaf(std::move(weights))});
}

std::vector<float> Probes::take_gradient() {
  std::vector<float> gradient = slot_.gradient.to_host<float>();
  slot_.gradient = Tensor();
  return gradient;
}

}  // namespace retape::checkpointing
