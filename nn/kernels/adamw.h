// One AdamW step (Loshchilov and Hutter 2019, arXiv:1711.05101) over one parameter.
#pragma once

#include <cstdint>

#include "nn/base/units.h"
#include "nn/tensor/dtype.h"

namespace retape::nn {

// g = scale * gradient, with scale *device_scale where that is given; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
// w = w (1 - lr weight_decay) - lr (m / bias_correction1) / (sqrt(v / bias_correction2) + eps); working = round(w).
// Where the scale is not finite nothing is written.
struct AdamWUpdate {
  float* weight = nullptr;          // [elems] f32 master copy
  float* first_moment = nullptr;    // [elems]
  float* second_moment = nullptr;   // [elems]
  const float* gradient = nullptr;  // [elems]
  bf16* working = nullptr;          // [elems] the copy that the model computes with, or null where that is `weight`
  Elems elems = 0;
  float scale = 1;
  const double* device_scale = nullptr;  // one element, rounded to f32; null takes `scale`
  float lr = 0;
  float beta1 = 0.9F;
  float beta2 = 0.999F;
  float eps = 1e-8F;
  float weight_decay = 0;
  float bias_correction1 = 1;  // 1 - beta1^t
  float bias_correction2 = 1;
};

}  // namespace retape::nn
