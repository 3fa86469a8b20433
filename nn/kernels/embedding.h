// Token and position embedding.
#pragma once

#include <cstdint>

#include "nn/base/units.h"
#include "nn/tensor/dtype.h"

namespace retape::nn {

// out[b, t] = token_table[tokens[b, t]] + position_table[t].
struct EmbeddingForward {
  const std::int32_t* tokens = nullptr;  // [batch, seq_len], each below the rows of token_table
  const void* token_table = nullptr;     // [V, channels] dtype
  const void* position_table = nullptr;  // [>= seq_len, channels] dtype
  void* out = nullptr;                   // [batch, seq_len, channels] dtype
  std::int64_t batch = 0;
  std::int64_t seq_len = 0;
  std::int64_t channels = 0;
  DType dtype = DType::f32;
};

// Adds each row of dout to the row of its token and of its position. Both tables already hold numbers (or zeros).
struct EmbeddingBackward {
  const std::int32_t* tokens = nullptr;
  const void* dout = nullptr;        // [batch, seq_len, channels] dtype
  float* dtoken_table = nullptr;     // [V, channels], or null where it is not wanted
  float* dposition_table = nullptr;  // [>= seq_len, channels], or null
  std::int64_t batch = 0;
  std::int64_t seq_len = 0;
  std::int64_t channels = 0;
  DType dtype = DType::f32;
};

}  // namespace retape::nn
