// What the module adds to a call, beside the work of the function that it is given. What it costs to make a mask again
// is dropout_backward in tests/bench/nn/kernels.
#include "checkpointing/checkpointer.h"

#include <benchmark/benchmark.h>

#include "nn/ops/dropout.h"

namespace retape::checkpointing {
namespace {

using nn::DeviceKind;
using nn::Shape;
using nn::Tape;
using nn::Tensor;
using nn::Var;

Tensor activations(nn::Device& device, const Shape& shape) {
  Tensor tensor(device, shape, nn::DType::f32, nn::Tag::activations);
  tensor.fill_zero();
  return tensor;
}

// A call on a tape that records nothing: what it costs where checkpointing is of no use.
void call_without_gradient(benchmark::State& state) {
  nn::Device device({.kind = DeviceKind::meta});
  nn::Context context(device);
  Checkpointer checkpointer(context);
  checkpointer.configure();
  Tape tape(context, {.record = false});
  const Var x = tape.leaf(activations(device, {1}));
  for (auto _ : state) {
    benchmark::DoNotOptimize(checkpointer.checkpoint(
        tape, [](const Var& var) { return var; }, x));
  }
}

// A call with one op inside, recorded; the tape begins anew every thousand calls.
void call_with_one_op(benchmark::State& state) {
  constexpr int kCalls = 1000;
  nn::Device device({.kind = DeviceKind::meta});
  nn::Context context(device);
  Checkpointer checkpointer(context);
  checkpointer.configure();
  nn::GradientSlot slot;
  for (auto _ : state) {
    Tape tape(context, checkpointer.tape_options());
    Var x = tape.leaf(activations(device, {1}), &slot);
    for (int call = 0; call < kCalls; ++call) {
      x = checkpointer.checkpoint(
          tape, [&](Var var) { return nn::dropout(tape, std::move(var), 0.1F); }, std::move(x));
    }
  }
  state.SetItemsProcessed(state.iterations() * kCalls);
}

void fork_of_a_state(benchmark::State& state) {
  nn::Device device({.kind = DeviceKind::meta});
  nn::Context context(device);
  Checkpointer checkpointer(context);
  checkpointer.model_parallel_seed(1);
  for (auto _ : state) {
    const RngTracker::Fork fork = checkpointer.rng().fork();
    benchmark::DoNotOptimize(&context.generator());
  }
}

BENCHMARK(call_without_gradient);
BENCHMARK(call_with_one_op);
BENCHMARK(fork_of_a_state);

}  // namespace
}  // namespace retape::checkpointing
