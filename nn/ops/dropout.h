#pragma once

#include <array>
#include <string_view>

#include "nn/autograd/tape.h"

namespace retape::nn {

// Each element is zero with probability p, and x / (1 - p) otherwise. p = 0 returns x itself.
//
//   x       [...]  f32 | bf16
//   returns [...]  dtype of x
//
// Backward reads: nothing; the mask is computed again from its RNG coordinates.   Cost: memory-bound.
// Throws: ShapeError, OutOfMemory.   Source: Srivastava et al. 2014.
//
// Inputs: x, and optionally a residual.
struct Dropout {
  static constexpr OpTraits kTraits{.name = "dropout", .uses_rng = true};
  static constexpr std::array<std::string_view, 1> kOutputs{"dropout"};
  enum { kX, kResidual };
  struct Args {
    float p;
  };
  static Reads reads(const Args&) { return {}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
  static Elems rng_elems(const Args& args, std::span<const Shape> inputs);
};

Var dropout(Tape& tape, Var x, float p, std::string_view name = {});

// residual + dropout(x), summed in f32 and rounded once; x and residual have one shape and dtype. Otherwise as
// dropout().
Var dropout_residual(Tape& tape, Var x, Var residual, float p, std::string_view name = {});

}  // namespace retape::nn
