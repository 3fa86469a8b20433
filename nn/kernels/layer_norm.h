// Normalisation of rows. Statistics are f32.
#pragma once

#include <cstdint>

#include "nn/base/units.h"
#include "nn/tensor/dtype.h"

namespace retape::nn {

// y = (x - mean) * rstd * gamma + beta for each row of x [rows, channels], also where squares or differences of x are
// beyond f32. A row that is not finite becomes NaN.
struct LayerNormForward {
  const void* x = nullptr;      // [rows, channels] dtype
  const void* gamma = nullptr;  // [channels] dtype
  const void* beta = nullptr;   // [channels] dtype
  float* mean = nullptr;        // [rows]
  float* rstd = nullptr;        // [rows]  1 / sqrt(variance + eps)
  void* y = nullptr;            // [rows, channels] dtype
  std::int64_t rows = 0;
  std::int64_t channels = 0;
  float eps = 1e-5F;
  bool reuse_statistics = false;  // read mean and rstd instead of computing them; y has the same bits
  DType dtype = DType::f32;
};

// dx = rstd * (dy gamma - mean(dy gamma) - xhat mean(dy gamma xhat)), dgamma = sum dy xhat, dbeta = sum dy over rows.
struct LayerNormBackward {
  const void* x = nullptr;      // [rows, channels] dtype
  const void* gamma = nullptr;  // [channels] dtype
  const float* mean = nullptr;  // [rows]
  const float* rstd = nullptr;  // [rows]
  const void* dy = nullptr;     // [rows, channels] dtype
  void* dx = nullptr;           // [rows, channels] dtype
  float* dgamma = nullptr;      // [channels]; null where it is not wanted, with dbeta
  float* dbeta = nullptr;       // [channels]
  std::int64_t rows = 0;
  std::int64_t channels = 0;
  bool accumulate_dx = false;
  bool accumulate_dgamma = false;
  bool accumulate_dbeta = false;
  DType dtype = DType::f32;
  void* workspace = nullptr;
};

}  // namespace retape::nn
