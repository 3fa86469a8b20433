// Losses: scalars in f32, from which backward begins.
#pragma once

#include <array>
#include <string_view>

#include "nn/autograd/tape.h"

namespace retape::nn {

// The mean of (x - target)^2 over all elements, summed in f64.
//
//   x        [...]  f32 | bf16
//   target   [...]  shape and dtype of x
//   returns  []     f32
//
// Backward reads: x, target.   Cost: memory-bound.   Throws: ShapeError, OutOfMemory.
struct MeanSquaredError {
  static constexpr OpTraits kTraits{.name = "mean_squared_error"};
  static constexpr std::array<std::string_view, 1> kOutputs{"loss"};
  enum { kX, kTarget };
  struct Args {};
  static Reads reads(const Args& /*args*/) { return {.inputs = bits({kX, kTarget})}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
};

Var mean_squared_error(Tape& tape, Var x, Var target, std::string_view name = {});

}  // namespace retape::nn
