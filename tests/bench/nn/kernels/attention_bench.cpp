// Attention, forward and backward, at the shapes of a small and of a GPT-2 model. GFLOP/s counts what a causal mask
// leaves of the products: 4 B H D T^2 / 2 forward, 2.5 times that backward.
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "nn/kernels/attention.h"
#include "nn/runtime/cpu/machine.h"

namespace retape::nn {
namespace {

struct Buffers {
  explicit Buffers(const AttentionShape& shape)
      : elems(shape.batch * shape.seq_len * shape.heads * shape.head_dim),
        qkv(values(3 * elems, shape.dtype)),
        out(values(elems, shape.dtype)),
        dout(values(elems, shape.dtype)),
        dqkv(values(3 * elems, shape.dtype)),
        lse(static_cast<std::size_t>(shape.batch * shape.heads * shape.seq_len)) {}

  static std::vector<char> values(Elems count, DType dtype) {
    std::vector<char> bytes(static_cast<std::size_t>(count * size_of(dtype)));
    std::mt19937 engine(1);
    std::normal_distribution<float> normal;
    for (Elems i = 0; i < count; ++i) {
      if (dtype == DType::bf16) {
        reinterpret_cast<bf16*>(bytes.data())[i] = to_bf16(normal(engine));
      } else {
        reinterpret_cast<float*>(bytes.data())[i] = normal(engine);
      }
    }
    return bytes;
  }

  Elems elems;
  std::vector<char> qkv, out, dout, dqkv;
  std::vector<float> lse;
};

AttentionShape shape_of(const benchmark::State& state) {
  return {.batch = state.range(0),
          .seq_len = state.range(1),
          .heads = state.range(2),
          .head_dim = state.range(3),
          .scale = 0.125F,
          .dropout = static_cast<float>(state.range(4)) / 100,
          .rng = {.seed = 1, .offset = 2},
          .dtype = state.range(5) == 16 ? DType::bf16 : DType::f32};
}

void count_flops(benchmark::State& state, const AttentionShape& shape, double share) {
  const double forward = 2.0 * static_cast<double>(shape.batch * shape.heads * shape.seq_len * shape.seq_len) *
                         static_cast<double>(shape.head_dim);
  state.counters["FLOP/s"] = benchmark::Counter(share * forward, benchmark::Counter::kIsIterationInvariantRate);
}

void forward(benchmark::State& state) {
  cpu::Machine machine(0);
  const AttentionShape shape = shape_of(state);
  Buffers buffers(shape);
  AttentionForward kernel{shape, buffers.qkv.data(), buffers.out.data(), buffers.lse.data(), nullptr};
  std::vector<char> workspace(static_cast<std::size_t>(cpu::workspace_bytes(machine, kernel)));
  kernel.workspace = workspace.data();
  for (auto _ : state) {
    cpu::run(machine, kernel);
  }
  count_flops(state, shape, 1);
}

void backward(benchmark::State& state) {
  cpu::Machine machine(0);
  const AttentionShape shape = shape_of(state);
  Buffers buffers(shape);
  AttentionForward before{shape, buffers.qkv.data(), buffers.out.data(), buffers.lse.data(), nullptr};
  AttentionBackward kernel{
      shape,  buffers.qkv.data(), buffers.out.data(), buffers.lse.data(), buffers.dout.data(), buffers.dqkv.data(),
      nullptr};
  std::vector<char> workspace(
      static_cast<std::size_t>(std::max(cpu::workspace_bytes(machine, before), cpu::workspace_bytes(machine, kernel))));
  before.workspace = workspace.data();
  kernel.workspace = workspace.data();
  cpu::run(machine, before);
  for (auto _ : state) {
    cpu::run(machine, kernel);
  }
  count_flops(state, shape, 2.5);
}

void shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"B", "T", "H", "D", "dropout%", "bits"})->UseRealTime()->Unit(benchmark::kMillisecond);
  for (const int bits : {32, 16}) {
    for (const int dropout : {0, 10}) {
      benchmark->Args({12, 256, 6, 64, dropout, bits});
      benchmark->Args({2, 512, 12, 64, dropout, bits});
    }
    benchmark->Args({12, 64, 4, 32, 0, bits});
  }
}

BENCHMARK(forward)->Apply(shapes);
BENCHMARK(backward)->Apply(shapes);

}  // namespace
}  // namespace retape::nn
