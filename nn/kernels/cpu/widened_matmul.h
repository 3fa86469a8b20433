// Products of bf16 on a processor whose oneDNN has none: the operands are widened to f32 in the workspace, multiplied
// there, and the result is rounded to the dtype of c.
#pragma once

#include "nn/kernels/backends.h"
#include "nn/kernels/matmul.h"

namespace retape::nn::cpu {

Bytes widened_workspace_bytes(Machine& machine, const Matmul& kernel);
void run_widened(Machine& machine, const Matmul& kernel);

}  // namespace retape::nn::cpu
