// What it costs to put a block's input away and to bring it back. Sizes are those of GPT-2 on 2 x 512 tokens, and of a
// 6 x 384 GPT on 12 x 256.
#include "checkpointing/stores/checkpoint_store.h"

#include <benchmark/benchmark.h>

#include <vector>

#include "parallel/comm/thread/ranks.h"

namespace retape::checkpointing {
namespace {

using Saved = std::unique_ptr<nn::SavedValue>;

void model_shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"rows", "channels"})->UseRealTime()->Unit(benchmark::kMicrosecond);
  benchmark->Args({3072, 384})->Args({1024, 768});
}

nn::Tensor make(nn::Device& device, const benchmark::State& state) {
  nn::Tensor value(device, {state.range(0), state.range(1)}, nn::DType::f32, nn::Tag::activations);
  value.fill_zero();
  return value;
}

// Saves one value and fetches it, with nothing to hide the transfers behind.
void save_and_fetch(benchmark::State& state, const StoreOptions& options, const parallel::Group& group) {
  nn::Device device({.threads = 1});
  CheckpointStore store(device, group, options, nullptr);
  const nn::Tensor value = make(device, state);
  for (auto _ : state) {
    const Saved saved = store.save(value, {.name = "x"});
    benchmark::DoNotOptimize(saved->fetch().data());
  }
  state.SetBytesProcessed(state.iterations() * value.bytes());
}

void in_place(benchmark::State& state) {
  save_and_fetch(state, {}, parallel::Group::self());
}

void slab(benchmark::State& state) {
  save_and_fetch(state, {.contiguous = true, .number_checkpoints = 1}, parallel::Group::self());
}

void host(benchmark::State& state) {
  save_and_fetch(state, {.host = true}, parallel::Group::self());
}

// Two ranks; the time is that of both, since each waits for the other.
void partition_and_gather(benchmark::State& state) {
  constexpr int kBatch = 64;
  StoreOptions options{.partition = true, .host = state.range(2) != 0};
  for (auto _ : state) {
    parallel::run_ranks(2, [&](parallel::Communicator& communicator) {
      nn::Device device({.threads = 1});
      CheckpointStore store(device, parallel::Group(communicator.split(0)), options, nullptr);
      const nn::Tensor value = make(device, state);
      for (int i = 0; i < kBatch; ++i) {
        const Saved saved = store.save(value, {.name = "x"});
        benchmark::DoNotOptimize(saved->fetch().data());
      }
    });
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
  state.SetBytesProcessed(state.iterations() * kBatch * state.range(0) * state.range(1) * 4);
}

// The work of the allocator alone: many values put away and let go again.
void places(benchmark::State& state, const StoreOptions& options) {
  nn::Device device({.kind = nn::DeviceKind::meta, .threads = 1});
  const parallel::Group pair(parallel::open_planned(0, 2));
  CheckpointStore store(device, pair, options, nullptr);
  const nn::Tensor value(device, {1024, 768}, nn::DType::f32, nn::Tag::activations);
  std::vector<Saved> saved;
  for (auto _ : state) {
    for (int i = 0; i < state.range(0); ++i) {
      saved.push_back(store.save(value, {.name = "x"}));
    }
    while (!saved.empty()) {
      saved.pop_back();
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void places_in_a_slab(benchmark::State& state) {
  places(state, {.partition = true, .contiguous = true, .number_checkpoints = state.range(0)});
}

void separate_allocations(benchmark::State& state) {
  places(state, {.partition = true});
}

BENCHMARK(in_place)->Apply(model_shapes);
BENCHMARK(slab)->Apply(model_shapes);
BENCHMARK(host)->Apply(model_shapes);
BENCHMARK(partition_and_gather)
    ->ArgNames({"rows", "channels", "host"})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond)
    ->ArgsProduct({{1024}, {768}, {0, 1}});
BENCHMARK(places_in_a_slab)->ArgName("values")->Arg(12)->Arg(100);
BENCHMARK(separate_allocations)->ArgName("values")->Arg(12)->Arg(100);

}  // namespace
}  // namespace retape::checkpointing
