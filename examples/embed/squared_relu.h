// An op of one's own: y = max(x, 0)^2, elementwise, in f32. nn/autograd/op.h tells what an op consists of.
#pragma once

#include <array>
#include <string_view>

#include "nn/autograd/tape.h"

namespace embed {

namespace nn = retape::nn;

struct SquaredRelu {
  static constexpr nn::OpTraits kTraits{.name = "squared_relu"};
  static constexpr std::array<std::string_view, 1> kOutputs{"squared_relu"};
  struct Args {};

  // Backward reads x, and not y: where x was let go it is rebuilt before.
  static nn::Reads reads(const Args& /*args*/) { return {.inputs = nn::bits({0}), .outputs = 0}; }

  static nn::Outputs forward(nn::Context& context, const Args& /*args*/, const nn::Inputs& inputs) {
    const nn::Tensor& x = inputs[0];
    const nn::Tensor y(context.device(), x.shape(), nn::DType::f32, context.output_tag());
    if (context.device().computes()) {
      const float* in = x.data_as<float>();
      float* out = y.data_as<float>();
      for (nn::Elems i = 0; i < x.elems(); ++i) {
        out[i] = in[i] > 0 ? in[i] * in[i] : 0;
      }
    }
    return {y};
  }

  static void backward(nn::Context& context, const Args& /*args*/, const nn::Saved& saved, nn::Gradients& gradients) {
    const nn::GradSink dx = gradients.sink(0, nn::DType::f32);
    if (context.device().computes()) {
      const float* in = saved.inputs[0].data_as<float>();
      const float* dy = gradients.dout(0).data_as<float>();
      float* sum = dx.tensor.data_as<float>();
      for (nn::Elems i = 0; i < dx.tensor.elems(); ++i) {
        sum[i] = (dx.accumulate ? sum[i] : 0) + (in[i] > 0 ? 2 * in[i] * dy[i] : 0);
      }
    }
  }

  static nn::Cost cost(const Args& /*args*/, std::span<const nn::Shape> inputs) {
    return {.flops = 2 * inputs[0].elems(), .bytes = 2 * inputs[0].elems() * nn::size_of(nn::DType::f32)};
  }
};

inline nn::Var squared_relu(nn::Tape& tape, nn::Var x) {
  return tape.run<SquaredRelu>({}, {std::move(x)});
}

}  // namespace embed
