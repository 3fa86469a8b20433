// Runs a kernel on the CPU as an op would.
#pragma once

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "nn/base/units.h"
#include "nn/kernels/backends.h"
#include "nn/runtime/cpu/machine.h"
#include "nn/tensor/dtype.h"

namespace retape::nn {

// The types of the typed tests of kernels.
using KernelTypes = ::testing::Types<float, bf16>;

// What a workspace holds before a kernel runs means nothing; it is all NaN here, so that a kernel that reads it shows.
template <class Kernel>
void run_kernel(Kernel kernel, int threads = 2) {
  cpu::Machine machine(threads);
  std::vector<float> workspace;
  if constexpr (requires { kernel.workspace; }) {
    const Bytes bytes = cpu::workspace_of_kernel(machine, kernel);
    workspace.assign(static_cast<std::size_t>(ceil_div(bytes, 4)), std::numeric_limits<float>::quiet_NaN());
    kernel.workspace = workspace.data();
  }
  cpu::run_kernel(machine, kernel);
}

}  // namespace retape::nn
