// Sums and means.
#pragma once

#include <array>
#include <string_view>

#include "nn/autograd/tape.h"

namespace retape::nn {

// What a reduction is taken over.
enum class Over : std::uint8_t {
  all,        // everything: one number, in f32 as a loss is
  last_axis,  // each row: as many numbers as rows, in the dtype of x
};

// The sum, or the mean, of all elements or of each row; in f64, rounded once.
//
//   x        [..., C]  f32 | bf16
//   returns  []        f32           Over::all
//            [...]     dtype of x    Over::last_axis
//
// Backward reads: nothing.   Cost: memory-bound.   Throws: ShapeError, OutOfMemory.
template <bool kMean>
struct Reduction {
  static constexpr OpTraits kTraits{.name = kMean ? "mean" : "sum"};
  static constexpr std::array<std::string_view, 1> kOutputs{kTraits.name};
  enum { kX };
  struct Args {
    Over over;
  };
  static Reads reads(const Args& /*args*/) { return {}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
};

Var sum(Tape& tape, Var x, Over over = Over::all, std::string_view name = {});
Var mean(Tape& tape, Var x, Over over = Over::all, std::string_view name = {});

}  // namespace retape::nn
