#pragma once

#include <array>
#include <string_view>

#include "nn/autograd/tape.h"

namespace retape::nn {

// Normalises each row: y = (x - mean) / sqrt(var + eps) * gamma + beta, of values of any size. A row that is not finite
// becomes NaN.
//
//   x      [..., C]  f32 | bf16
//   gamma  [C]       dtype of x
//   beta   [C]       dtype of x
//   returns [..., C] dtype of x
//
// Backward reads: x, gamma, mean [...] f32, rstd [...] f32.   Cost: ~8 FLOPs per element, memory-bound.
// Throws: ShapeError, OutOfMemory.   Source: Ba et al. 2016, arXiv:1607.06450.
struct LayerNorm {
  static constexpr OpTraits kTraits{.name = "layer_norm"};
  static constexpr std::array<std::string_view, 3> kOutputs{"layer_norm", "mean", "rstd"};
  enum { kX, kGamma, kBeta };
  enum { kY, kMean, kRstd };
  // y from x, gamma, beta and the statistics, without computing these again.
  static constexpr std::array<Rebuild, 1> kRebuilds{
      Rebuild{.output = kY,
              .from = {.inputs = bits({kX, kGamma, kBeta}), .outputs = bits({kMean, kRstd})},
              .flops_per_elem = 4}};
  struct Args {
    float eps;
  };
  static Reads reads(const Args&) { return {.inputs = bits({kX, kGamma}), .outputs = bits({kMean, kRstd})}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static Tensor rebuild(Context& context, const Args& args, int output, const Saved& saved);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
};

Var layer_norm(Tape& tape, Var x, Var gamma, Var beta, float eps = 1e-5F, std::string_view name = {});

}  // namespace retape::nn
