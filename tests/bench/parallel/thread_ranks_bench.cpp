// Collectives between thread ranks: time per collective, and bytes that one rank contributes.
#include <benchmark/benchmark.h>

#include <chrono>
#include <vector>

#include "parallel/comm/thread/ranks.h"

namespace retape::parallel {
namespace {

// Times `collective(communicator)` on rank 0, in rounds that all ranks run alike.
template <class Collective>
void measure(benchmark::State& state, Bytes bytes, Collective collective) {
  constexpr int kRounds = 20;
  for (auto _ : state) {
    run_ranks(static_cast<int>(state.range(0)), [&](Communicator& communicator) {
      auto run = collective(communicator);
      run();
      communicator.barrier();
      const auto begin = std::chrono::steady_clock::now();
      for (int round = 0; round < kRounds; ++round) {
        run();
      }
      if (communicator.rank() == 0) {
        const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
        state.SetIterationTime(seconds.count() / kRounds);
      }
    });
  }
  state.SetBytesProcessed(state.iterations() * bytes);
}

void all_gather(benchmark::State& state) {
  const Bytes bytes = state.range(1);
  measure(state, bytes, [bytes](Communicator& communicator) {
    return [&communicator, bytes, shard = std::vector<char>(static_cast<std::size_t>(bytes)),
            whole = std::vector<char>(static_cast<std::size_t>(bytes * communicator.size()))]() mutable {
      communicator.all_gather(shard.data(), whole.data(), bytes);
    };
  });
}

void all_reduce_sum(benchmark::State& state) {
  const Elems elems = state.range(1) / static_cast<Bytes>(sizeof(float));
  measure(state, state.range(1), [elems](Communicator& communicator) {
    return [&communicator, elems, values = std::vector<float>(static_cast<std::size_t>(elems))]() mutable {
      communicator.all_reduce_sum(values.data(), elems);
    };
  });
}

void arguments(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"ranks", "bytes"})->ArgsProduct({{2, 4}, {64, 64 << 10, 16 << 20}})->UseManualTime();
}
BENCHMARK(all_gather)->Apply(arguments);
BENCHMARK(all_reduce_sum)->Apply(arguments);

}  // namespace
}  // namespace retape::parallel
