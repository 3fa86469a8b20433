// Attention, forward and backward, at the shapes of a small and of a GPT-2 model. GFLOP/s counts what a causal mask
// leaves of the products: 4 B H D T^2 / 2 forward, 2.5 times that backward.
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "nn/kernels/attention.h"
#include "nn/kernels/launch.h"

namespace retape::nn {
namespace {

struct Buffers {
  Buffers(Device& device, const AttentionShape& shape)
      : qkv(values(device, shape, 3)),
        out(values(device, shape, 1)),
        lse(device, Shape{shape.batch, shape.heads, shape.seq_len}, DType::f32, Tag::activations),
        dout(values(device, shape, 1)),
        dqkv(values(device, shape, 3)) {}

  static Tensor values(Device& device, const AttentionShape& shape, std::int64_t parts) {
    const Shape dims{shape.batch, shape.seq_len, parts * shape.heads * shape.head_dim};
    Tensor tensor(device, dims, shape.dtype, Tag::activations);
    std::mt19937 engine(1);
    std::uniform_real_distribution<float> uniform(-1.7F, 1.7F);
    for (Elems i = 0; i < tensor.elems(); ++i) {
      if (shape.dtype == DType::bf16) {
        tensor.data_as<bf16>()[i] = to_bf16(uniform(engine));
      } else {
        tensor.data_as<float>()[i] = uniform(engine);
      }
    }
    return tensor;
  }

  AttentionForward forward(const AttentionShape& shape) const {
    return {shape, qkv.data(), out.data(), lse.data_as<float>(), nullptr};
  }
  AttentionBackward backward(const AttentionShape& shape) const {
    return {shape, qkv.data(), out.data(), lse.data_as<float>(), dout.data(), dqkv.data(), nullptr};
  }

  Tensor qkv, out, lse, dout, dqkv;
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
  Device device({});
  Context context(device);
  const AttentionShape shape = shape_of(state);
  const Buffers buffers(device, shape);
  for (auto _ : state) {
    launch_with_workspace(context, buffers.forward(shape));
  }
  count_flops(state, shape, 1);
}

void backward(benchmark::State& state) {
  Device device({});
  Context context(device);
  const AttentionShape shape = shape_of(state);
  const Buffers buffers(device, shape);
  launch_with_workspace(context, buffers.forward(shape));
  for (auto _ : state) {
    launch_with_workspace(context, buffers.backward(shape));
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
