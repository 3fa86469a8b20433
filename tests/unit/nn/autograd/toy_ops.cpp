#include "tests/unit/nn/autograd/toy_ops.h"

#include <algorithm>
#include <stdexcept>

namespace retape::nn::toy {
namespace {

Tensor map(Context& context, const Tensor& x, auto function) {
  Tensor y(context.device(), x.shape(), DType::f32, context.output_tag());
  if (context.device().computes()) {
    const auto* in = x.data_as<float>();
    auto* out = y.data_as<float>();
    for (Elems i = 0; i < x.elems(); ++i) {
      out[i] = function(in[i], i);
    }
  }
  return y;
}

void ran_forward(const LoggedArgs& args, int id) {
  if (args.log->throw_in_forward) {
    throw std::runtime_error("forward");
  }
  args.log->forward.push_back(id);
}

void ran_backward(const LoggedArgs& args) {
  if (args.log->throw_in_backward) {
    throw std::runtime_error("backward");
  }
  args.log->backward.push_back(args.id);
}

void pass(Context& context, Gradients& gradients, int input, float factor) {
  if (!gradients.wants(input)) {
    return;
  }
  const GradSink sink = gradients.sink(input);
  if (context.device().computes()) {
    const auto* dy = gradients.dout(0).data_as<float>();
    auto* dx = sink.tensor.data_as<float>();
    for (Elems i = 0; i < sink.tensor.elems(); ++i) {
      dx[i] = factor * dy[i] + (sink.accumulate ? dx[i] : 0.0F);
    }
  }
}

}  // namespace

int Log::runs(int id) const {
  return static_cast<int>(std::count(forward.begin(), forward.end(), id));
}

template <bool kReadsInput, bool kReadsOutput>
Outputs Double<kReadsInput, kReadsOutput>::forward(Context& context, const Args& args, const Inputs& inputs) {
  ran_forward(args, args.id);
  return {map(context, inputs[0], [](float x, Elems /*i*/) { return 2 * x; })};
}

template <bool kReadsInput, bool kReadsOutput>
void Double<kReadsInput, kReadsOutput>::backward(Context& context, const Args& args, const Saved& saved,
                                                 Gradients& gradients) {
  ran_backward(args);
  require(saved.inputs[0].defined() == kReadsInput, "[double] input: declared and given differ");
  require(saved.outputs[0].defined() == kReadsOutput, "[double] output: declared and given differ");
  pass(context, gradients, 0, 2);
}

template struct Double<true, false>;
template struct Double<false, true>;
template struct Double<false, false>;

Outputs Sum::forward(Context& context, const Args& args, const Inputs& inputs) {
  ran_forward(args, args.id);
  const Tensor& b = inputs[1];
  return {map(context, inputs[0], [&b](float a, Elems i) { return a + b.data_as<float>()[i]; })};
}

void Sum::backward(Context& context, const Args& args, const Saved& /*saved*/, Gradients& gradients) {
  ran_backward(args);
  pass(context, gradients, 0, 1);
  pass(context, gradients, 1, 1);
}

Outputs AddNoise::forward(Context& context, const Args& args, const Inputs& inputs) {
  ran_forward(args, args.id);
  const RngRange rng = inputs.rng;
  return {map(context, inputs[0], [rng](float x, Elems i) { return x + static_cast<float>(rng.bits(i)) * 0x1p-32F; })};
}

void AddNoise::backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients) {
  ran_backward(args);
  if (gradients.wants(0)) {
    // The output itself, so that a wrong rebuild shows in the gradient.
    const GradSink sink = gradients.sink(0);
    if (context.device().computes()) {
      const auto* y = saved.outputs[0].data_as<float>();
      auto* dx = sink.tensor.data_as<float>();
      for (Elems i = 0; i < sink.tensor.elems(); ++i) {
        dx[i] = y[i] + (sink.accumulate ? dx[i] : 0.0F);
      }
    }
  }
}

Outputs TwoStage::forward(Context& context, const Args& args, const Inputs& inputs) {
  ran_forward(args, args.id);
  Tensor inner = map(context, inputs[0], [](float x, Elems /*i*/) { return x + 1; });
  Tensor outer = map(context, inner, [](float x, Elems /*i*/) { return 2 * x; });
  return {std::move(outer), std::move(inner)};
}

Tensor TwoStage::rebuild(Context& context, const Args& args, int /*output*/, const Saved& saved) {
  ran_forward(args, kRebuildId + args.id);
  return map(context, saved.outputs[1], [](float x, Elems /*i*/) { return 2 * x; });
}

void TwoStage::backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients) {
  ran_backward(args);
  require(saved.outputs[1].defined(), "[two_stage] inner: declared and given differ");
  pass(context, gradients, 0, 2);
}

}  // namespace retape::nn::toy
