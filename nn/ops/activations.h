// Activations that backward computes from their output.
#pragma once

#include <array>
#include <string_view>

#include "nn/autograd/tape.h"
#include "nn/kernels/activation.h"

namespace retape::nn {

constexpr std::string_view name(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::relu: return "relu";
    case ActivationKind::tanh: return "tanh";
    case ActivationKind::sigmoid: return "sigmoid";
  }
  return "?";
}

// y = max(x, 0), tanh(x), 1 / (1 + exp(-x)). The slope of relu at 0 is 0.
//
//   x        [...]  f32 | bf16
//   returns  [...]  dtype of x
//
// Backward reads: y.   Cost: memory-bound.   Throws: ShapeError, OutOfMemory.
template <ActivationKind kKind>
struct Activation {
  static constexpr OpTraits kTraits{.name = retape::nn::name(kKind)};
  static constexpr std::array<std::string_view, 1> kOutputs{kTraits.name};
  enum { kX };
  enum { kY };
  struct Args {};
  static Reads reads(const Args& /*args*/) { return {.outputs = bits({kY})}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
};

Var relu(Tape& tape, Var x, std::string_view name = {});
Var tanh(Tape& tape, Var x, std::string_view name = {});
Var sigmoid(Tape& tape, Var x, std::string_view name = {});

}  // namespace retape::nn
