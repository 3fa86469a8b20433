#pragma once

#include <array>
#include <string_view>

#include "nn/autograd/tape.h"

namespace retape::nn {

// y = x weight + bias, accumulated in f32.
//
//   x       [..., K]  f32 | bf16
//   weight  [K, N]    dtype of x
//   bias    [N]       dtype of x
//   returns [..., N]  dtype of x
//
// Backward reads: x, weight. The gradients of weight and bias are f32.   Cost: 2 K N FLOPs per row.
// Throws: ShapeError, OutOfMemory.
struct Linear {
  static constexpr OpTraits kTraits{.name = "linear"};
  static constexpr std::array<std::string_view, 1> kOutputs{"linear"};
  enum { kX, kWeight, kBias };
  struct Args {};
  static Reads reads(const Args&) { return {.inputs = bits({kX, kWeight}), .outputs = 0}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
};

Var linear(Tape& tape, Var x, Var weight, Var bias, std::string_view name = {});

// y = gelu(x weight + bias) in the tanh form, from the pre-activation as it is stored (rounded to the dtype of x), so
// that y rebuilt from the stored pre-activation has the same bits.
//
// Shapes and dtypes as in linear().
// Backward reads: x, weight, pre_gelu [..., N].   Cost: 2 K N FLOPs per row.   Throws: ShapeError, OutOfMemory.
struct LinearGelu {
  static constexpr OpTraits kTraits{.name = "linear_gelu"};
  static constexpr std::array<std::string_view, 2> kOutputs{"gelu", "pre_gelu"};
  enum { kX, kWeight, kBias };
  enum { kY, kPre };
  static constexpr Flops kGeluFlops = 8;  // for each element, tanh counted as one
  static constexpr std::array<Rebuild, 1> kRebuilds{
      Rebuild{.output = kY, .from = {.inputs = 0, .outputs = bits({kPre})}, .flops_per_elem = kGeluFlops}};
  struct Args {};
  static Reads reads(const Args&) { return {.inputs = bits({kX, kWeight}), .outputs = bits({kPre})}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static Tensor rebuild(Context& context, const Args& args, int output, const Saved& saved);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
};

Var linear_gelu(Tape& tape, Var x, Var weight, Var bias, std::string_view name = {});

}  // namespace retape::nn
