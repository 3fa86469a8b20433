// Compares policies of activation checkpointing by running them: what each holds, how long a step takes, and that all
// have the same bits.
#pragma once

#include <cstdint>
#include <string>

#include "trainer/config.h"

namespace retape::trainer {

struct StudyCommand {
  std::string policies = "none,selective:layer_norm+gelu,full";  // as parse_policies() takes them
  std::int64_t steps = 10;                                       // of each run; the first is not timed
  std::int64_t repeats = 1;                                      // of the whole sequence of policies
  std::string output;                                            // a folder; empty: run.out_dir
};

// Trains each policy in turn, again and again, from the same start on the same batches, without evaluations,
// checkpoints and samples; prints a table and writes study.csv and study.json. A step's time leaves out the hash of its
// gradients, which a training does not take.
//
// Returns the exit status. Throws ConfigError for a list that is none, fewer than 2 steps or no repeat; OutOfMemory
// for a policy that does not fit; Error, when all else is done, where a policy has other bits than the first.
int study(const Config& config, const StudyCommand& command);

}  // namespace retape::trainer
