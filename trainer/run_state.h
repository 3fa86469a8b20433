// What a checkpoint of a run holds, and how it comes back: weights, moments, sampler, random numbers, step, tokenizer,
// and what tells the tokens from others.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/sampler.h"
#include "trainer/checkpoint_files.h"
#include "trainer/config.h"
#include "trainer/learner.h"

namespace retape::trainer {

// Where a run stands.
struct RunPosition {
  std::int64_t step = 0;        // steps done
  std::int64_t tokens = 0;      // trained on in them
  bool evaluation_due = false;  // the evaluation after the last of them was cut short
};

// Writes all of it, the dataset's tokenizer and fingerprint included, into the folder of checkpoints and returns the
// file's path. `not_whole` are checkpoints in it that go for it, as for save_checkpoint.
std::filesystem::path save_run(const std::filesystem::path& directory, const RunPosition& position,
                               const Config& config, Learner& learner, const data::Sampler& sampler,
                               const data::Dataset& dataset, std::span<const std::filesystem::path> not_whole = {});

RunPosition saved_position(const Checkpoint& checkpoint);

// Throws ConfigError where the run is to end before the checkpoint's step, or where a setting that a run keeps to its
// end, such as run.seed, is another than the checkpoint was saved with.
void require_can_go_on(const Checkpoint& checkpoint, const Config& config);

// The settings that shape the result and that are others than the checkpoint was saved with, as in
// "optimizer.lr: 0.001 -> 0.01, train.batch_size: 8 -> 16"; empty where there are none.
std::string changed_settings(const Checkpoint& checkpoint, const Config& config);

// Throws DataError where the checkpoint is of another model than the configuration's. Makes no model of that size,
// unlike restore_learner, which then cannot fail for this.
void require_model(const Checkpoint& checkpoint, const Config& config, std::int64_t vocab, bool trains);

// Loads weights, moments if the learner trains, and random numbers. Throws DataError for a checkpoint of another model,
// or with random numbers of another seed, before anything has changed.
void restore_learner(const Checkpoint& checkpoint, Learner& learner);

// Throws DataError for one of another seed than the run's, or that has drawn other rows than the run was trained on.
data::SamplerState sampler_state(const Checkpoint& checkpoint);

// Null where the run has none. Throws DataError for one with more tokens than the model.
std::shared_ptr<const data::Tokenizer> saved_tokenizer(const Checkpoint& checkpoint);

// The vocabulary of the checkpoint's model. Throws DataError where its token table has another number of rows.
std::int64_t saved_vocab(const Checkpoint& checkpoint);

// What a training goes on from, as train.resume names it: the newest whole checkpoint, the one at a path, or nothing. A
// warning for each corrupt one that was passed over goes to stderr, and its path into `not_whole`, which may be null.
std::optional<Checkpoint> find_checkpoint(const Config& config,
                                          std::vector<std::filesystem::path>* not_whole = nullptr);

// What a command that reads a run works on: the same, but "never", which is about the next training, hides nothing.
std::optional<Checkpoint> find_trained(const Config& config, std::vector<std::filesystem::path>* not_whole = nullptr);

// Where a run keeps its checkpoints.
std::filesystem::path checkpoint_directory(const Config& config);

}  // namespace retape::trainer
