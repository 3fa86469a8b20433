// Compares policies of activation checkpointing by running them: what each holds, how long a step takes, and that all
// have the same bits.
#pragma once

#include <cstdint>
#include <string>

#include "trainer/config.h"
#include "trainer/run/outputs.h"

namespace retape::trainer {

struct StudyCommand {
  std::string policies = "none,selective:layer_norm+gelu,full";  // as parse_policies() takes them
  std::int64_t steps = 10;                                       // of each run; the first is not timed
  std::int64_t repeats = 1;                                      // of the whole sequence of policies
  std::string output;                                            // a folder; empty: run.out_dir
};

// Trains each policy in turn, again and again, from the same start on the same batches, without evaluations,
// checkpoints and samples; prints a table and writes study.csv and study.json. A step's time leaves out the hash of its
// gradients, which a training does not take. A policy that does not fit is a row that says so. A signal to stop ends
// the study with the rounds that are finished.
//
// Returns the exit status: 0, or 128 + the signal's number. Throws DataError for files in the way that
// no study wrote, before anything runs; ConfigError for a list that is none, fewer than 2
// steps or no repeat; OutOfMemory where no policy fits; Error, when all else is done, where a policy has other bits
// than the first.
int study(const Config& config, const StudyCommand& command, const OutputOptions& options = {});

}  // namespace retape::trainer
