#include "tests/unit/checkpointing/rank.h"

#include <gtest/gtest.h>

#include "tests/support/ranks.h"

namespace retape::checkpointing {

Rank::Rank(parallel::Topology topology, const RankOptions& options)
    : rank(topology.tensor.rank()),
      device({.kind = options.kind, .threads = 1, .memory_limit = options.memory_limit}),
      context(device, {.seed = 7, .offset = 0}),
      checkpointer(context, std::move(topology), [this](const std::string& text) { warnings.push_back(text); }) {}

Bytes Rank::activation_bytes() {
  Bytes bytes = 0;
  for (const nn::Tag tag : {nn::Tag::activations, nn::Tag::checkpoints, nn::Tag::recompute}) {
    bytes += memory().live_by_tag[static_cast<std::size_t>(tag)];
  }
  return bytes;
}

void on_ranks(int ranks, const std::function<void(Rank&)>& body) {
  parallel::run_ranks(
      ranks,
      [&](parallel::Communicator& communicator) {
        Rank rank(parallel::make_topology(communicator, ranks));
        body(rank);
      },
      parallel::testing::kTestTimeout);
}

std::vector<Overrides> all_stores() {
  constexpr int kStores = 8;
  std::vector<Overrides> stores;
  stores.reserve(kStores);
  for (int bits = 0; bits < kStores; ++bits) {
    stores.push_back({.partition_activations = (bits & 1) != 0,
                      .contiguous_memory_optimization = (bits & 2) != 0,
                      .cpu_checkpointing = (bits & 4) != 0,
                      .slab_bytes = 1_MiB});
  }
  return stores;
}

void with_every_store(const std::function<void(Rank&)>& body) {
  for (const int ranks : {1, 2}) {
    for (const Overrides& store : all_stores()) {
      on_ranks(ranks, [&](Rank& rank) {
        rank.checkpointer.configure(store);
        const ::testing::ScopedTrace trace(
            __FILE__, __LINE__,
            fmt::format("rank {} of {}: {}", rank.rank, ranks, rank.checkpointer.settings().describe()));
        body(rank);
      });
    }
  }
}

}  // namespace retape::checkpointing
