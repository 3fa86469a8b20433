// Products of as many pairs of matrices as there are.
#pragma once

#include <cstdint>

#include "nn/kernels/matmul.h"

namespace retape::nn {

// Matmul for each of `batch` matrices that lie behind each other in a, b and c, with the bits of each alone.
struct MatmulBatch {
  Matmul first;  // without a bias
  std::int64_t batch = 0;
  void* workspace = nullptr;
};

}  // namespace retape::nn
