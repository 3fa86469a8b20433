// Arithmetic of two values, element by element, and with a number.
#pragma once

#include <array>
#include <string_view>

#include "nn/autograd/tape.h"
#include "nn/kernels/arithmetic.h"

namespace retape::nn {

constexpr std::string_view name(ArithmeticKind kind) {
  switch (kind) {
    case ArithmeticKind::add: return "add";
    case ArithmeticKind::subtract: return "subtract";
    case ArithmeticKind::multiply: return "multiply";
    case ArithmeticKind::divide: return "divide";
  }
  return "?";
}

// y = a + b, a - b, a b, a / b, computed in f32 and rounded once. Where one operand lacks leading dimensions of the
// other (or has extents of 1 there), it is repeated along them; one of a single element is repeated everywhere:
//
//   a        [...]   f32 | bf16
//   b        [...]   dtype of a
//   returns  [...]   the shape of which the other is an end; dtype of a
//
// The gradient of what is repeated is the sum over its repetitions, in f32 and in an order that threads do not change.
//
// Backward reads: nothing for add and subtract, otherwise a and b.   Cost: memory-bound.
// Throws: ShapeError, OutOfMemory.
template <ArithmeticKind kKind>
struct Arithmetic {
  static constexpr OpTraits kTraits{.name = retape::nn::name(kKind)};
  static constexpr std::array<std::string_view, 1> kOutputs{kTraits.name};
  enum { kA, kB };
  struct Args {};
  static Reads reads(const Args& /*args*/) {
    const bool is_linear = kKind == ArithmeticKind::add || kKind == ArithmeticKind::subtract;
    return {.inputs = is_linear ? 0 : bits({kA, kB})};
  }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
};

Var add(Tape& tape, Var a, Var b, std::string_view name = {});
Var subtract(Tape& tape, Var a, Var b, std::string_view name = {});
Var multiply(Tape& tape, Var a, Var b, std::string_view name = {});
Var divide(Tape& tape, Var a, Var b, std::string_view name = {});

// y = factor x, computed in f32 and rounded once.
//
//   x        [...]  f32 | bf16
//   returns  [...]  dtype of x
//
// Backward reads: nothing.   Cost: memory-bound.   Throws: ShapeError, OutOfMemory.
struct Scaling {
  static constexpr OpTraits kTraits{.name = "scale"};
  static constexpr std::array<std::string_view, 1> kOutputs{"scale"};
  enum { kX };
  struct Args {
    float factor;
  };
  static Reads reads(const Args& /*args*/) { return {}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
};

Var scale(Tape& tape, Var x, float factor, std::string_view name = {});

}  // namespace retape::nn
