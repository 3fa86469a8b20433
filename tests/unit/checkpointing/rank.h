// A rank with all that it needs to train, and the ways in which its checkpoints can be kept.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpointing/checkpointer.h"
#include "nn/runtime/context.h"
#include "parallel/topology.h"

namespace retape::checkpointing {

struct RankOptions {
  nn::DeviceKind kind = nn::DeviceKind::cpu;
  std::optional<Bytes> memory_limit;
};

struct Rank {
  explicit Rank(parallel::Topology topology = parallel::Topology::single(), const RankOptions& options = {});
  // Ops draw the same numbers after it.
  void seed() { checkpointer.model_parallel_seed(7); }
  const nn::MemoryStats& memory() { return device.memory().stats(); }
  // What the device holds of activations, checkpoints and rebuilt values.
  Bytes activation_bytes();

  int rank;
  nn::Device device;
  nn::Context context;
  std::vector<std::string> warnings;
  Checkpointer checkpointer;
};

// Runs the body on ranks that share one tensor-parallel group.
void on_ranks(int ranks, const std::function<void(Rank&)>& body);

// Partition, contiguous and host, on and off: all eight, with room for any test.
std::vector<Overrides> all_stores();

// Runs the body with each of them, on one rank and on two; the rank is configured.
void with_every_store(const std::function<void(Rank&)>& body);

}  // namespace retape::checkpointing
