// Softmax over the last axis, and its logarithm.
#pragma once

#include <array>
#include <string_view>

#include "nn/autograd/tape.h"

namespace retape::nn {

// softmax: y = e^x / sum of e^x over the last axis. log_softmax: its logarithm, y = x - log(sum of e^x). The largest
// element of each row is taken off first, so that no exponential overflows.
//
//   x        [..., C]  f32 | bf16
//   returns  [..., C]  dtype of x
//
// Backward reads: y.   Cost: ~8 FLOPs per element, memory-bound.   Throws: ShapeError, OutOfMemory.
template <bool kLogarithm>
struct Softmax {
  static constexpr OpTraits kTraits{.name = kLogarithm ? "log_softmax" : "softmax"};
  static constexpr std::array<std::string_view, 1> kOutputs{kTraits.name};
  enum { kX };
  enum { kY };
  struct Args {};
  static Reads reads(const Args& /*args*/) { return {.outputs = bits({kY})}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
};

Var softmax(Tape& tape, Var x, std::string_view name = {});
Var log_softmax(Tape& tape, Var x, std::string_view name = {});

}  // namespace retape::nn
