// One step of a GPT-2 of few blocks, with blocks kept and with blocks rebuilt; the counters say what a block costs.
#include <benchmark/benchmark.h>

#include "checkpointing/checkpointer.h"
#include "trainer/gpt.h"

namespace retape::trainer {
namespace {

constexpr std::int64_t kBatch = 2;
constexpr std::int64_t kSeqLen = 512;
constexpr std::int64_t kLayers = 4;

nn::Tensor tokens(nn::Device& device) {
  nn::Tensor tensor(device, nn::Shape{kBatch, kSeqLen}, nn::DType::i32, nn::Tag::activations);
  tensor.fill_zero();
  return tensor;
}

void step(benchmark::State& state, nn::DType dtype, const checkpointing::Policy& policy) {
  nn::Device device({.kind = nn::DeviceKind::cpu});
  nn::Context context(device, {.seed = 1, .offset = 0});
  Gpt model(device, {.layers = kLayers, .heads = 12, .dim = 768, .seq_len = kSeqLen, .vocab = 256, .dtype = dtype});
  model.initialise(context, 1);
  checkpointing::Checkpointer checkpointer(context);
  checkpointer.set_policy(policy);
  checkpointer.configure();
  nn::TapeStats work;
  for (auto _ : state) {
    nn::Tape tape(context, checkpointer.tape_options());
    tape.backward(model.loss(tape, tape.leaf(tokens(device)), tape.leaf(tokens(device))));
    work += tape.stats();
    nn::clear_gradients(model.parameters());
  }
  const double rebuild_ms = std::chrono::duration<double, std::milli>(work.rebuild_time).count();
  state.counters["rebuild_ms_per_block"] = rebuild_ms / static_cast<double>(state.iterations() * kLayers);
  state.counters["rebuilt_flops"] = static_cast<double>(work.rebuilt_flops) / static_cast<double>(work.forward_flops);
}

BENCHMARK_CAPTURE(step, f32_none, nn::DType::f32, checkpointing::none())->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(step, f32_full, nn::DType::f32, checkpointing::full())->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(step, bf16_none, nn::DType::bf16, checkpointing::none())->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(step, bf16_full, nn::DType::bf16, checkpointing::full())->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(step, bf16_selective, nn::DType::bf16, checkpointing::selective({"layer_norm", "gelu"}))
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace retape::trainer
