// Softmax cross-entropy of rows of logits.
#pragma once

#include <cstdint>

#include "nn/base/units.h"
#include "nn/tensor/dtype.h"

namespace retape::nn {

// losses[r] = log(sum_v exp(logits[r, v])) - logits[r, target[r]], and
// dlogits[r, v] = gradient_scale dloss (softmax(logits[r])[v] - [v is target[r]]), added to what is there where
// `accumulate`.
struct CrossEntropy {
  const void* logits = nullptr;           // [rows, vocab] logits_dtype
  const std::int32_t* targets = nullptr;  // [rows], each in [0, vocab)
  float* losses = nullptr;                // [rows]; null where they are not wanted
  const float* dloss = nullptr;           // one element; null stands for 1
  void* dlogits = nullptr;                // [rows, vocab] dtype; may be logits of that dtype; null for losses only
  std::int64_t rows = 0;
  std::int64_t vocab = 0;
  float gradient_scale = 1;
  bool accumulate = false;
  DType logits_dtype = DType::f32;
  DType dtype = DType::f32;  // of dlogits
};

}  // namespace retape::nn
