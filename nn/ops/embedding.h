#pragma once

#include <array>
#include <string_view>

#include "nn/autograd/tape.h"

namespace retape::nn {

// token_table[tokens[b, t]] + position_table[t], summed in f32 and rounded once.
//
//   tokens          [B, T]    i32, each in [0, V)
//   token_table     [V, C]    f32 | bf16
//   position_table  [N, C]    N >= T, dtype of token_table
//   returns         [B, T, C] dtype of token_table
//
// Backward reads: tokens. The gradients of the tables are f32.   Cost: memory-bound.
// Throws: ShapeError (T over the position table included), DataError for a token that is no id, OutOfMemory.
struct Embedding {
  static constexpr OpTraits kTraits{.name = "embedding"};
  static constexpr std::array<std::string_view, 1> kOutputs{"embedding"};
  enum { kTokens, kTokenTable, kPositionTable };
  struct Args {};
  static Reads reads(const Args&) { return {.inputs = bits({kTokens}), .outputs = 0}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
};

Var embedding(Tape& tape, Var tokens, Var token_table, Var position_table, std::string_view name = {});

}  // namespace retape::nn
