#pragma once

#include <array>
#include <string_view>

#include "nn/autograd/tape.h"

namespace retape::nn {

// scale times the mean cross-entropy of softmax(x table') against the targets.
//
//   x        [B, T, C]  f32 | bf16
//   table    [V, C]     dtype of x
//   targets  [B, T]     i32, each in [0, V)
//   returns  []         f32
//
// Logits exist for a chunk of rows at a time (kHeadChunkBytes, and never more than a quarter of the rows). Loss and
// gradients are computed in one pass, so no product runs twice; without a gradient to record only the loss is.
//
// Backward reads: dx [B, T, C] and dtable [V, C] f32, both made in forward.   Cost: 6 C V FLOPs per row, all in
// forward. Throws: ShapeError, DataError for a target that is no id, OutOfMemory.
struct CrossEntropyHead {
  // The gradients are computed in forward, beside the loss: dropping them would run every product twice.
  static constexpr OpTraits kTraits{.name = "cross_entropy_head", .keep_saved = true};
  static constexpr std::array<std::string_view, 3> kOutputs{"loss", "head_dx", "head_dtable"};
  enum { kX, kTable, kTargets };
  enum { kLoss, kDx, kDtable };
  struct Args {
    float scale;
  };
  static Reads reads(const Args&) { return {.inputs = 0, .outputs = bits({kDx, kDtable})}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
};

Var cross_entropy_head(Tape& tape, Var x, Var table, Var targets, float scale = 1, std::string_view name = {});

// The rows of a chunk of logits.
std::int64_t head_chunk_rows(std::int64_t rows, std::int64_t vocab);

// Logits of the rows of x, for sampling: x table' in f32.
//
//   x       [N, C]  f32 | bf16
//   table   [V, C]  dtype of x
//   returns [N, V]  f32; not recorded
Tensor head_logits(Context& context, const Tensor& x, const Tensor& table);

}  // namespace retape::nn
