// What a source of this folder needs to hand its kernels to ops: it defines run(), and workspace_bytes() where the
// kernel has a workspace, and instantiates these.
#pragma once

#include "nn/kernels/backends.h"

namespace retape::nn::cpu {

template <class Kernel>
void run_kernel(Machine& machine, const Kernel& kernel) {
  run(machine, kernel);
}

template <class Kernel>
Bytes workspace_of_kernel(Machine& machine, const Kernel& kernel) {
  return workspace_bytes(machine, kernel);
}

}  // namespace retape::nn::cpu
