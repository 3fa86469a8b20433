// What the tape costs beside the work itself: nanoseconds per op of a chain whose ops do next to nothing.
#include "nn/autograd/tape.h"

#include <benchmark/benchmark.h>

#include "tests/support/policies.h"

namespace retape::nn {
namespace {

// y = x, with the memory that an op takes, and no work; backward reads its input.
struct Pass {
  static constexpr OpTraits kTraits{.name = "pass"};
  static constexpr std::array<std::string_view, 1> kOutputs{"pass"};
  struct Args {};
  static Reads reads(const Args& /*args*/) { return {.inputs = 1, .outputs = 0}; }
  static Outputs forward(Context& context, const Args& /*args*/, const Inputs& inputs) {
    return {Tensor(context.device(), inputs[0].shape(), inputs[0].dtype(), context.output_tag())};
  }
  static void backward(Context& /*context*/, const Args& /*args*/, const Saved& /*saved*/, Gradients& gradients) {
    gradients.give(0, gradients.take_dout(0));
  }
  static Cost cost(const Args& /*args*/, std::span<const Shape> inputs) { return {.flops = inputs[0].elems()}; }
};

constexpr int kBlocks = 48;
constexpr int kOps = 16;

// Forward and backward of kBlocks blocks of kOps ops, as a model has them.
void step(Context& context, GradientSlot& slot, bool regions, const TapeOptions& options) {
  Tape tape(context, options);
  Tensor start(context.device(), Shape{}, DType::f32, Tag::parameters);
  Var x = tape.run<Pass>({}, {tape.leaf(std::move(start), &slot)});
  for (int block = 0; block < kBlocks; ++block) {
    std::optional<RegionScope> region;
    if (regions) {
      region.emplace(tape.region("block"));
    }
    for (int op = 0; op < kOps; ++op) {
      x = tape.run<Pass>({}, {std::move(x)});
    }
  }
  if (options.record) {
    tape.backward(std::move(x));
  }
}

void measure(benchmark::State& state, bool regions, const TapeOptions& options) {
  Device device({.kind = DeviceKind::meta});
  Context context(device);
  GradientSlot slot;
  for (auto _ : state) {
    step(context, slot, regions, options);
    slot.gradient = Tensor();
  }
  state.SetItemsProcessed(state.iterations() * kBlocks * kOps);
  state.counters["per_op"] =
      benchmark::Counter(kBlocks * kOps, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

const DropInRegions kDrop;

void no_gradient(benchmark::State& state) {
  measure(state, false, {.record = false});
}
void keep_without_regions(benchmark::State& state) {
  measure(state, false, {});
}
void keep_in_regions(benchmark::State& state) {
  measure(state, true, {});
}
void rebuild_regions(benchmark::State& state) {
  measure(state, true, {.policy = &kDrop});
}

BENCHMARK(no_gradient);
BENCHMARK(keep_without_regions);
BENCHMARK(keep_in_regions);
BENCHMARK(rebuild_regions);

}  // namespace
}  // namespace retape::nn
