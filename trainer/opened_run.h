// The device, the data and the model that a configuration names, ready for a command.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "data/dataset.h"
#include "data/sampler.h"
#include "nn/runtime/device.h"
#include "trainer/checkpoint_files.h"
#include "trainer/config.h"
#include "trainer/learner.h"
#include "trainer/stop_signals.h"

namespace retape::trainer {

// What run.device and run.memory_limit name. "auto" takes the cpu in a build without another device; "meta", on which
// nothing is computed, is a ConfigError.
std::unique_ptr<nn::Device> open_device(const Config& config);

// The data of the configuration; text is encoded by the checkpoint's tokenizer where there is a checkpoint. Throws
// DataError where token files come with a tokenizer that is not the checkpoint's, and ConfigError where there is none
// and run.sample_tokens asks for text.
data::Dataset open_data(const Config& config, const std::optional<Checkpoint>& checkpoint);

// The same for a training, with the fingerprint that it keeps. Throws what require_same_data() throws, too.
data::Dataset open_training_data(const Config& config, const std::optional<Checkpoint>& checkpoint);

// What the sample at the end of a training goes on from; empty where there is to be none. Throws ConfigError for
// run.sample_prompt without a token, DataError for one that the tokenizer, which may be null, has no ids for.
std::vector<std::int32_t> sample_prompt(const Config& config, const data::Tokenizer* tokenizer);

// The vocabulary of the model that a new training would make: of model.vocab, or a preset's, else of the tokenizer.
// Throws what such a training throws before it plans, but for what only the tokens show. Data and weights that are not
// there are not needed where the vocabulary is known.
std::int64_t vocab_of_training(const Config& config);

// What draws the rows of training, where the checkpoint left off.
data::Sampler open_sampler(const Config& config, const data::Dataset& dataset,
                           const std::optional<Checkpoint>& checkpoint);

// Throws DataError where the weights that load_weights would take are of another model than the configuration's, before
// one of that size is made. `trains` asks for the optimizer's moments too.
void require_weights(const Config& config, const std::optional<Checkpoint>& checkpoint, std::int64_t vocab,
                     bool trains);

// Gives the model its first weights: the checkpoint's where there is one, else those of model.init_from, else random
// ones.
void load_weights(const Config& config, const std::optional<Checkpoint>& checkpoint, Learner& learner);

// The mean loss of the validation tokens: of the first train.eval_batches batches, or of all. Nothing where one of
// `signals`, which may be null, comes before the end.
std::optional<double> validation_loss(const Config& config, const data::TokenStream& tokens, Learner& learner,
                                      const StopSignals* signals = nullptr);

}  // namespace retape::trainer
