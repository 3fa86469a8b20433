#pragma once

#include <array>
#include <string_view>

#include "nn/autograd/tape.h"

namespace retape::nn {

// Causal self-attention of all heads: softmax(q k' / sqrt(D)) v, with dropout of the probabilities. In blocks: no [T,
// T] array exists, and the mask of dropout is computed again in backward.
//
//   qkv     [B, T, 3 C]  f32 | bf16: q, k, v one after the other, each [H, D] with H D = C
//   returns [B, T, C]    dtype of qkv
//
// Backward reads: qkv, the output, lse [B, H, T] f32.   Cost: 2 B T^2 C FLOPs; backward 2.5 times that.
// Throws: ShapeError, OutOfMemory.   Source: Dao et al. 2022, arXiv:2205.14135.
struct Attention {
  static constexpr OpTraits kTraits{.name = "attention", .uses_rng = true};
  static constexpr std::array<std::string_view, 2> kOutputs{"attention", "lse"};
  enum { kQkv };
  enum { kOut, kLse };
  struct Args {
    std::int64_t heads;
    float dropout;
  };
  static Reads reads(const Args&) { return {.inputs = bits({kQkv}), .outputs = bits({kOut, kLse})}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
  static Elems rng_elems(const Args& args, std::span<const Shape> inputs);
};

Var attention(Tape& tape, Var qkv, std::int64_t heads, float dropout, std::string_view name = {});

}  // namespace retape::nn
