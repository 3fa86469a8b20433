// Losses: scalars in f32, from which backward begins.
#pragma once

#include <array>
#include <string_view>

#include "nn/autograd/tape.h"

namespace retape::nn {

// The mean over the rows of the cross-entropy of softmax(logits) against the target, log(sum of e^logits) - the
// target's logit.
//
//   logits   [..., V]  f32 | bf16
//   targets  [...]     i32, each in [0, V)
//   returns  []        f32
//
// Backward reads: logits, targets; it makes the probabilities again.   Cost: ~8 FLOPs per logit, memory-bound.
// Throws: ShapeError, DataError for a target that is no id, OutOfMemory.
struct MeanCrossEntropy {
  static constexpr OpTraits kTraits{.name = "cross_entropy"};
  static constexpr std::array<std::string_view, 1> kOutputs{"loss"};
  enum { kLogits, kTargets };
  struct Args {};
  static Reads reads(const Args& /*args*/) { return {.inputs = bits({kLogits, kTargets})}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
};

Var cross_entropy(Tape& tape, Var logits, Var targets, std::string_view name = {});

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
