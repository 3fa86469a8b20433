// Ops with parameters. Each layer owns its parameters and is applied to Vars of a tape.
#pragma once

#include <string>

#include "nn/layers/parameter.h"

namespace retape::nn::layers {

// y = x weight + bias, weight [in, out].
struct Linear {
  Linear(Device& device, const std::string& name, std::int64_t in, std::int64_t out, DType dtype);

  Var operator()(Tape& tape, Var x, std::string_view value_name = {});
  // The same followed by GELU.
  Var gelu(Tape& tape, Var x, std::string_view value_name = {});

  Parameter weight;
  Parameter bias;
};

// y = (x - mean) / sqrt(var + eps) * weight + bias over the last dimension.
struct LayerNorm {
  LayerNorm(Device& device, const std::string& name, std::int64_t channels, DType dtype);

  Var operator()(Tape& tape, Var x, std::string_view value_name = {});

  Parameter weight;
  Parameter bias;
};

}  // namespace retape::nn::layers
