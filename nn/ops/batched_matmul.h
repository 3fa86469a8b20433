#pragma once

#include <array>
#include <string_view>

#include "nn/autograd/tape.h"

namespace retape::nn {

// Which sides of a product are given transposed.
struct Transposed {
  bool a = false;
  bool b = false;
};

// y = a b for each pair of matrices, accumulated in f32. The leading dimensions, none or some, are those of both sides.
//
//   a        [..., M, K]  f32 | bf16   or [..., K, M], where transposed.a
//   b        [..., K, N]  dtype of a   or [..., N, K], where transposed.b
//   returns  [..., M, N]  dtype of a
//
// Backward reads: a, b.   Cost: 2 M K N FLOPs per pair.   Throws: ShapeError, OutOfMemory.
struct BatchedMatmul {
  static constexpr OpTraits kTraits{.name = "batched_matmul"};
  static constexpr std::array<std::string_view, 1> kOutputs{"batched_matmul"};
  enum { kA, kB };
  struct Args {
    Transposed transposed;
  };
  static Reads reads(const Args& /*args*/) { return {.inputs = bits({kA, kB})}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
};

Var batched_matmul(Tape& tape, Var a, Var b, Transposed transposed = {}, std::string_view name = {});

}  // namespace retape::nn
