// What a run will hold, known before it starts: its steps, and an evaluation, on the meta device.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nn/autograd/tape.h"
#include "nn/runtime/allocator.h"
#include "trainer/config.h"

namespace retape::trainer {

struct MemoryPlan {
  nn::MemoryStats stats;                // after two whole steps: peaks and tags, equal to those of the run
  std::string peak_at;                  // what runs when the peak is first reached: "backward of linear, h.5"
  std::string activation_peak_at;       // the same of activations, checkpoints and recompute together
  bool fits = true;                     // within run.memory_limit
  Bytes slab_bytes = 0;                 // what contiguous checkpoints need, where their number is not set
  Bytes host_peak_bytes = 0;            // of checkpoints in host memory
  std::vector<nn::Residual> residuals;  // of one micro-step: what backward needs and what becomes of it
  nn::TapeStats work;                   // of one step
  std::vector<std::string> notes;       // what a user should know, a line each
};

// Goes through the run that `config` describes on the meta device: two steps, of at most three micro-steps, which
// repeat themselves, and an evaluation. Throws ConfigError for names in
// activation_checkpointing.recompute that the model does not have.
MemoryPlan plan_memory(const Config& config, std::int64_t vocab);

// The table that a run prints at its start: bytes by tag at the peak, and the notes.
std::string memory_table(const MemoryPlan& plan);

// Throws OutOfMemory where the run does not fit run.memory_limit: says what is enough, and which batch would fit. Both
// are found by trying; a model of very many layers gets few tries, so that what is enough may not be the least, and the
// batch not the largest.
void require_fit(const Config& config, std::int64_t vocab, const MemoryPlan& plan);

// Throws OutOfMemory where this machine has less memory than the run would take on the cpu device, what is offloaded
// included.
void require_machine_has(const MemoryPlan& plan);

}  // namespace retape::trainer
