// What a checkpoint of a run holds, and how it comes back: weights, moments, sampler, random numbers, step, tokenizer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "data/sampler.h"
#include "data/tokenizer.h"
#include "trainer/checkpoint_files.h"
#include "trainer/config.h"
#include "trainer/learner.h"

namespace retape::trainer {

// Where a run stands.
struct RunPosition {
  std::int64_t step = 0;        // steps done
  bool evaluation_due = false;  // the evaluation after the last of them was cut short
};

// Writes all of it into the folder of checkpoints and returns the file's path.
std::filesystem::path save_run(const std::filesystem::path& directory, const RunPosition& position,
                               const Config& config, Learner& learner, const data::Sampler& sampler,
                               const data::Tokenizer* tokenizer);

RunPosition saved_position(const Checkpoint& checkpoint);

// The settings that shape the result and that are others than the checkpoint was saved with, as in
// "optimizer.lr: 0.001 -> 0.01, train.batch_size: 8 -> 16"; empty where there are none.
std::string changed_settings(const Checkpoint& checkpoint, const Config& config);

// Loads weights, moments and random numbers. Throws DataError for a checkpoint of another model, before anything has
// changed.
void restore_learner(const Checkpoint& checkpoint, Learner& learner);

data::SamplerState sampler_state(const Checkpoint& checkpoint);

// Null where the run has none.
std::shared_ptr<const data::Tokenizer> saved_tokenizer(const Checkpoint& checkpoint);

// The vocabulary of the checkpoint's model.
std::int64_t saved_vocab(const Checkpoint& checkpoint);

// What train.resume names: the newest whole checkpoint, the one at a path, or nothing. A line for each corrupt one that
// was passed over goes to stderr.
std::optional<Checkpoint> find_checkpoint(const Config& config);

// Where a run keeps its checkpoints.
std::filesystem::path checkpoint_directory(const Config& config);

}  // namespace retape::trainer
