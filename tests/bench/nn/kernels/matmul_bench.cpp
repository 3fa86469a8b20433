// Matrix products of training, forward and backward, in GFLOP/s.
#include "nn/kernels/backends.h"
#include "nn/kernels/matmul.h"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "nn/kernels/launch.h"

namespace retape::nn {
namespace {

Tensor random(Device& device, std::int64_t elems, DType dtype) {
  std::minstd_rand generator(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  Tensor tensor(device, Shape{elems}, dtype, Tag::activations);
  std::vector<float> floats(static_cast<std::size_t>(elems));
  for (float& x : floats) {
    x = uniform(generator);
  }
  if (dtype == DType::f32) {
    tensor.from_host<float>(floats);
  } else {
    std::vector<bf16> rounded;
    for (const float x : floats) {
      rounded.push_back(to_bf16(x));
    }
    tensor.from_host<bf16>(rounded);
  }
  return tensor;
}

// Runs `kernel` over random operands made for it.
void measure(benchmark::State& state, Matmul kernel, bool bias) {
  Device device(DeviceOptions{});
  Context context(device);
  const Tensor a = random(device, kernel.m * kernel.k, kernel.in);
  const Tensor b = random(device, kernel.k * kernel.n, kernel.in);
  const Tensor c = random(device, kernel.m * kernel.n, kernel.out);
  const Tensor bias_row = random(device, kernel.n, kernel.in);
  kernel.a = a.data();
  kernel.b = b.data();
  kernel.c = c.data();
  kernel.bias = bias ? bias_row.data() : nullptr;
  launch_with_workspace(context, kernel);
  for ([[maybe_unused]] auto iteration : state) {
    launch_with_workspace(context, kernel);
  }
  const double flops =
      2.0 * static_cast<double>(kernel.m) * static_cast<double>(kernel.n) * static_cast<double>(kernel.k);
  state.counters["FLOP/s"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["workspace_bytes"] = static_cast<double>(cpu::workspace_of_kernel(device.cpu(), kernel));
}

void add(const std::string& what, const Matmul& kernel, bool bias = false) {
  const std::string name = what + "/" + std::string(nn::name(kernel.in)) + "/m:" + std::to_string(kernel.m) +
                           "/n:" + std::to_string(kernel.n) + "/k:" + std::to_string(kernel.k);
  benchmark::RegisterBenchmark(name.c_str(), measure, kernel, bias)->UseRealTime();
}

Matmul product(std::int64_t m, std::int64_t n, std::int64_t k, DType in, DType out) {
  Matmul kernel;
  kernel.m = m;
  kernel.n = n;
  kernel.k = k;
  kernel.in = in;
  kernel.out = out;
  return kernel;
}

// y = x w + bias, dx = dy w^T, dw += x^T dy.
void add_linear(std::int64_t rows, std::int64_t inputs, std::int64_t outputs, DType dtype) {
  add("linear", product(rows, outputs, inputs, dtype, dtype), true);
  Matmul dx = product(rows, inputs, outputs, dtype, dtype);
  dx.transpose_b = true;
  add("linear_dx", dx);
  Matmul dw = product(inputs, outputs, rows, dtype, DType::f32);
  dw.transpose_a = true;
  dw.accumulate = true;
  add("linear_dw", dw);
}

// logits = x table^T, dx = dlogits table, dtable += dlogits^T x.
void add_head(std::int64_t rows, std::int64_t channels, std::int64_t vocab, DType dtype) {
  Matmul logits = product(rows, vocab, channels, dtype, DType::f32);
  logits.transpose_b = true;
  add("logits", logits);
  add("logits_dx", product(rows, channels, vocab, dtype, dtype));
  Matmul dtable = product(vocab, channels, rows, dtype, DType::f32);
  dtable.transpose_a = true;
  dtable.accumulate = true;
  add("logits_dtable", dtable);
}

const bool kAdded = [] {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    add("small", product(1, 16, 16, dtype, dtype));
    add("small", product(64, 64, 64, dtype, dtype));
    for (const auto& [rows, channels] : {std::pair{768, 128}, {3072, 384}, {1024, 768}}) {
      add_linear(rows, channels, 3 * channels, dtype);
      add_linear(rows, channels, channels, dtype);
      add_linear(rows, channels, 4 * channels, dtype);
      add_linear(rows, 4 * channels, channels, dtype);
    }
    add_head(3072, 384, 256, dtype);
    for (const std::int64_t rows : {64, 128, 256, 512}) {
      add_head(rows, 768, 50257, dtype);
    }
  }
  return true;
}();

}  // namespace
}  // namespace retape::nn
