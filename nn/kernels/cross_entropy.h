// Softmax cross-entropy of rows of logits.
#pragma once

#include <cstdint>

#include "nn/base/units.h"
#include "nn/tensor/dtype.h"

namespace retape::nn {

namespace cpu {
class Machine;
}

// losses[r] = log(sum_v exp(logits[r, v])) - logits[r, target[r]], and
// dlogits[r, v] = gradient_scale (softmax(logits[r])[v] - [v is target[r]]).
struct CrossEntropy {
  const float* logits = nullptr;          // [rows, vocab]
  const std::int32_t* targets = nullptr;  // [rows], each in [0, vocab)
  float* losses = nullptr;                // [rows]
  void* dlogits = nullptr;                // [rows, vocab] dtype; may be logits where dtype is f32; null for losses only
  std::int64_t rows = 0;
  std::int64_t vocab = 0;
  float gradient_scale = 1;
  DType dtype = DType::f32;  // of dlogits
};

namespace cpu {
void run(Machine& machine, const CrossEntropy& kernel);
}  // namespace cpu

}  // namespace retape::nn
