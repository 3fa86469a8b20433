// Ops that tests put around the op they look at. They run on the cpu and meta devices, for f32 and bf16.
#pragma once

#include <array>
#include <string_view>

#include "nn/autograd/tape.h"

namespace retape::nn {

// A scalar of any value, so that it has a gradient: the sum of w y, or where `quadratic` of w (y + y^2 / 2). Inputs: y,
// and w of its shape in f32, which gets no gradient.
//
// The gradient of the first is w whatever y is. That of the second depends on y, so that backward reads it, and a wrong
// rebuild of y shows.
struct WeightedSum {
  static constexpr OpTraits kTraits{.name = "weighted_sum"};
  static constexpr std::array<std::string_view, 1> kOutputs{"weighted_sum"};
  struct Args {
    bool quadratic;
  };
  static Reads reads(const Args& args) { return {.inputs = args.quadratic ? bits({0, 1}) : bits({1}), .outputs = 0}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& /*args*/, std::span<const Shape> inputs) { return {.flops = inputs[0].elems()}; }
};

// y = x in memory of its own; backward reads nothing.
struct Copy {
  static constexpr OpTraits kTraits{.name = "copy"};
  static constexpr std::array<std::string_view, 1> kOutputs{"copy"};
  struct Args {};
  static Reads reads(const Args& /*args*/) { return {}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& /*args*/, std::span<const Shape> inputs) { return {.flops = inputs[0].elems()}; }
};

// Element i of a tensor of f32, bf16 or i32 in host memory, and how it is set; rounds to the dtype.
double element(const Tensor& tensor, Elems i);
void set_element(const Tensor& tensor, Elems i, double value);

}  // namespace retape::nn
