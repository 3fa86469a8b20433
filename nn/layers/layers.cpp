#include "nn/layers/layers.h"

#include "nn/ops/layer_norm.h"
#include "nn/ops/linear.h"

namespace retape::nn::layers {

Linear::Linear(Device& device, const std::string& name, std::int64_t in, std::int64_t out, DType dtype)
    : weight(device, name + ".weight", Shape{in, out}, dtype), bias(device, name + ".bias", Shape{out}, dtype) {}

Var Linear::operator()(Tape& tape, Var x, std::string_view value_name) {
  return linear(tape, std::move(x), weight.on(tape), bias.on(tape), value_name);
}

Var Linear::gelu(Tape& tape, Var x, std::string_view value_name) {
  return linear_gelu(tape, std::move(x), weight.on(tape), bias.on(tape), value_name);
}

LayerNorm::LayerNorm(Device& device, const std::string& name, std::int64_t channels, DType dtype)
    : weight(device, name + ".weight", Shape{channels}, dtype), bias(device, name + ".bias", Shape{channels}, dtype) {}

Var LayerNorm::operator()(Tape& tape, Var x, std::string_view value_name) {
  constexpr float kEps = 1e-5F;
  return layer_norm(tape, std::move(x), weight.on(tape), bias.on(tape), kEps, value_name);
}

}  // namespace retape::nn::layers
