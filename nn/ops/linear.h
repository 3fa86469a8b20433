#pragma once

#include <array>
#include <string_view>

#include "nn/autograd/tape.h"

namespace retape::nn {

struct Linear {
  static constexpr OpTraits kTraits{.name = "linear"};
  static constexpr std::array<std::string_view, 1> kOutputs{"linear"};
  struct Args {};
  static Reads reads(const Args&) { return {.inputs = bits({0, 1}), .outputs = 0}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
};

// y = x weight + bias, accumulated in f32.
//
//   x       [..., K]  f32 | bf16
//   weight  [K, N]    dtype of x
//   bias    [N]       dtype of x
//   returns [..., N]  dtype of x
//
// Backward reads: x, weight. The gradients of weight and bias are f32.   Cost: 2 K N FLOPs per row.
// Throws: ShapeError, OutOfMemory.
Var linear(Tape& tape, Var x, Var weight, Var bias, std::string_view name = {});

struct LinearGelu {
  static constexpr OpTraits kTraits{.name = "linear_gelu"};
  static constexpr std::array<std::string_view, 2> kOutputs{"gelu", "pre_gelu"};
  static constexpr Flops kGeluFlops = 8;  // for each element, tanh counted as one
  static constexpr std::array<Rebuild, 1> kRebuilds{
      Rebuild{.output = 0, .from = {.inputs = 0, .outputs = bits({1})}, .flops_per_elem = kGeluFlops}};
  struct Args {};
  static Reads reads(const Args&) { return {.inputs = bits({0, 1}), .outputs = bits({1})}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static Tensor rebuild(Context& context, const Args& args, int output, const Saved& saved);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
};

// y = gelu(x weight + bias) in the tanh form, from the pre-activation as it is stored (rounded to the dtype of x), so
// that y rebuilt from the stored pre-activation has the same bits.
//
// Shapes and dtypes as in linear().
// Backward reads: x, weight, pre_gelu [..., N].   Cost: 2 K N FLOPs per row.   Throws: ShapeError, OutOfMemory.
Var linear_gelu(Tape& tape, Var x, Var weight, Var bias, std::string_view name = {});

}  // namespace retape::nn
