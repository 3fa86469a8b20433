// Causal self-attention in blocks; no [T, T] array exists (Dao et al. 2022, arXiv:2205.14135).
#pragma once

#include <cstdint>

#include "nn/base/units.h"
#include "nn/runtime/philox.h"
#include "nn/tensor/dtype.h"

namespace retape::nn {

struct AttentionShape {
  std::int64_t batch = 0;
  std::int64_t seq_len = 0;
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;
  float scale = 1;  // of the scores, 1 / sqrt(head_dim) in GPT-2
  float dropout = 0;
  RngRange rng;  // the mask of probability (b, h, i, j) has the bits of element ((b H + h) T + i) T + j
  DType dtype = DType::f32;
};

// out = dropout(softmax(scale q k' + causal mask)) v for each head.
struct AttentionForward {
  AttentionShape shape;
  const void* qkv = nullptr;  // [B, T, 3 H D] dtype: q, then k, then v; each [H, D]
  void* out = nullptr;        // [B, T, H D] dtype
  float* lse = nullptr;       // [B, H, T] log of the sum of exponentials of the scaled scores
  void* workspace = nullptr;
};

// Scores are computed again block by block from q, k and lse.
struct AttentionBackward {
  AttentionShape shape;
  const void* qkv = nullptr;
  const void* out = nullptr;
  const float* lse = nullptr;
  const void* dout = nullptr;  // [B, T, H D] dtype
  void* dqkv = nullptr;        // [B, T, 3 H D] dtype
  void* workspace = nullptr;
};

}  // namespace retape::nn
