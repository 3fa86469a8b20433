// Runs a program on one rank.
#pragma once

#include <string>
#include <vector>

#include "parallel/topology.h"
#include "tests/programs/program.h"

namespace retape::programs {

struct Plan {
  nn::DeviceKind device = nn::DeviceKind::cpu;
  bool keep_everything = false;       // no regions, no checkpoints: what all else is compared with
  std::vector<Bytes> measured_slabs;  // of each settings; empty: measures them
};

// All that can be seen of a run.
struct Outcome {
  std::string failure;                        // what it threw; empty where it came to its end
  std::vector<float> losses;                  // of each backward
  std::vector<std::vector<float>> gradients;  // of each parameter; empty where it got none
  checkpointing::RngTracker::States generators;
  nn::TapeStats work;               // but the times
  nn::MemoryStats memory;           // when all but parameters and gradients has gone
  checkpointing::StoreStats store;  // of the last settings
  Bytes most_offloaded = 0;         // of all settings
  std::vector<Bytes> slabs;         // how large the contiguous buffer of each settings had to be
  int warnings = 0;
  Bytes left_behind = 0;  // of activations, checkpoints and rebuilt values, after a reset
};

Outcome execute(const Program& program, const Plan& plan, const parallel::Topology& topology);

}  // namespace retape::programs
