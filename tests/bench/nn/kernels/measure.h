// Runs a memory-bound kernel again and again and reports the bytes that it has to move.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

#include "nn/base/units.h"
#include "nn/kernels/backends.h"
#include "nn/runtime/cpu/machine.h"
#include "nn/tensor/dtype.h"

namespace retape::nn {

template <class Kernel>
void measure(benchmark::State& state, Kernel kernel, Bytes bytes) {
  cpu::Machine machine(0);
  std::vector<float> workspace;
  if constexpr (requires { kernel.workspace; }) {
    workspace.resize(static_cast<std::size_t>(ceil_div(cpu::workspace_of_kernel(machine, kernel), 4)));
    kernel.workspace = workspace.data();
  }
  for (auto _ : state) {
    cpu::run_kernel(machine, kernel);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * bytes);
}

// Rows and channels of a 6 x 384 GPT on 12 x 256 tokens, and of GPT-2 on 2 x 512.
inline void model_shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"rows", "channels"})->UseRealTime()->Unit(benchmark::kMicrosecond);
  benchmark->Args({3072, 384})->Args({1024, 768});
}

// The same within the feed-forward part, which is four times as wide.
inline void wide_model_shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"rows", "channels"})->UseRealTime()->Unit(benchmark::kMicrosecond);
  benchmark->Args({3072, 1536})->Args({1024, 3072});
}

}  // namespace retape::nn
