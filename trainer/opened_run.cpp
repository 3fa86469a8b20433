#include "trainer/opened_run.h"

#include <filesystem>
#include <system_error>

#include "data/windows.h"
#include "trainer/model_weights.h"
#include "trainer/run/saved_data.h"
#include "trainer/run_state.h"

namespace retape::trainer {
namespace {

nn::DeviceKind device_kind(DeviceChoice choice) {
  switch (choice) {
    case DeviceChoice::automatic:
    case DeviceChoice::cpu: return nn::DeviceKind::cpu;
    case DeviceChoice::cuda: return nn::DeviceKind::cuda;
    case DeviceChoice::meta: return nn::DeviceKind::meta;
  }
  fail<ConfigError>("[run] device: unknown choice {}", static_cast<int>(choice));
}

data::FileFormat file_format(DataFormat format) {
  switch (format) {
    case DataFormat::automatic: return data::FileFormat::kAuto;
    case DataFormat::text: return data::FileFormat::kText;
    case DataFormat::u16: return data::FileFormat::kU16;
    case DataFormat::llmc: return data::FileFormat::kLlmc;
  }
  fail<ConfigError>("[data] format: unknown choice {}", static_cast<int>(format));
}

data::DatasetConfig dataset_config(const Config& config) {
  return {.train = config.data.train,
          .val = config.data.val,
          .val_fraction = config.data.val_fraction,
          .format = file_format(config.data.format),
          .tokenizer = config.data.tokenizer == TokenizerChoice::byte ? "byte" : "char",
          .vocab = config.model.vocab,
          .seq_len = config.model.seq_len};
}

// The table of the weights that a model starts with has a row for each id of the tokenizer.
void require_weights_for(std::int64_t ids, const Config& config) {
  if (!config.model.init_from.empty()) {
    const std::int64_t rows = vocab_in(config.model.init_from);
    require<ConfigError>(ids <= rows,
                         "[model] init_from: expected a table of at least the tokenizer's {} ids, got {} of {}", ids,
                         config.model.init_from, rows);
  }
}

// Whose tokenizer is null where there is none.
void require_tokenizer_for_sample(const Config& config, const data::Tokenizer* tokenizer) {
  require<ConfigError>(config.run.sample_tokens == 0 || tokenizer != nullptr,
                       "[run] sample_tokens: expected 0 for data without a tokenizer, got {}",
                       config.run.sample_tokens);
}

data::Dataset open_data(const Config& config, const std::optional<Checkpoint>& checkpoint, bool fingerprint) {
  data::DatasetConfig settings = dataset_config(config);
  settings.fingerprint = fingerprint;
  data::Dataset dataset = data::open_dataset(settings, checkpoint ? saved_tokenizer(*checkpoint) : nullptr);
  require_tokenizer_for_sample(config, dataset.tokenizer.get());
  if (!checkpoint && dataset.tokenizer != nullptr) {
    require_weights_for(dataset.tokenizer->vocab_size(), config);
  }
  return dataset;
}

// Of what is there: files that are missing are not needed where the vocabulary is known.
bool has_data(const Config& config) {
  return config.model.vocab == 0 || (!config.data.train.empty() && data::dataset_exists(dataset_config(config)));
}

bool has_weights(const Config& config) {
  std::error_code ignored;
  return config.model.vocab == 0 || std::filesystem::exists(config.model.init_from, ignored);
}

}  // namespace

std::unique_ptr<nn::Device> open_device(const Config& config) {
  require<ConfigError>(config.run.device != DeviceChoice::meta,
                       "[run] device: expected one that computes, got \"meta\", which only plans a training's memory");
  const Bytes limit = config.run.memory_limit;
  return std::make_unique<nn::Device>(
      nn::DeviceOptions{.kind = device_kind(config.run.device),
                        .threads = static_cast<int>(config.run.threads),
                        .memory_limit = limit > 0 ? std::optional(limit) : std::nullopt});
}

data::Dataset open_data(const Config& config, const std::optional<Checkpoint>& checkpoint) {
  return open_data(config, checkpoint, false);
}

data::Dataset open_training_data(const Config& config, const std::optional<Checkpoint>& checkpoint) {
  data::Dataset dataset = open_data(config, checkpoint, true);
  if (checkpoint) {
    require_same_data(*checkpoint, config, dataset);
  }
  return dataset;
}

std::vector<std::int32_t> sample_prompt(const Config& config, const data::Tokenizer* tokenizer) {
  if (config.run.sample_tokens == 0 || tokenizer == nullptr) {
    return {};
  }
  const std::vector<data::Token> encoded = tokenizer->encode({"run.sample_prompt", config.run.sample_prompt});
  require<ConfigError>(!encoded.empty(), "[run] sample_prompt: expected at least one token, got none");
  return {encoded.begin(), encoded.end()};
}

std::int64_t vocab_of_training(const Config& config) {
  std::int64_t vocab = config.model.vocab;
  if (has_data(config)) {
    const data::DatasetOutline outline = data::outline_dataset(dataset_config(config));
    vocab = outline.vocab;
    require_tokenizer_for_sample(config, outline.tokenizer.get());
    if (outline.tokenizer != nullptr && has_weights(config)) {
      require_weights_for(outline.tokenizer->vocab_size(), config);
    }
    sample_prompt(config, outline.tokenizer.get());
  }
  if (has_weights(config)) {
    require_weights(config, std::nullopt, vocab, /*trains=*/true);
  }
  return vocab;
}

data::Sampler open_sampler(const Config& config, const data::Dataset& dataset,
                           const std::optional<Checkpoint>& checkpoint) {
  data::Sampler sampler(
      dataset.train, {.order = config.data.order == DataOrder::random ? data::Order::kRandom : data::Order::kSequential,
                      .seed = static_cast<std::uint64_t>(config.run.seed),
                      .batch_size = config.train.batch_size,
                      .seq_len = config.model.seq_len});
  if (checkpoint) {
    sampler.restore(sampler_state(*checkpoint));
  }
  return sampler;
}

void require_weights(const Config& config, const std::optional<Checkpoint>& checkpoint, std::int64_t vocab,
                     bool trains) {
  if (checkpoint) {
    require_model(*checkpoint, config, vocab, trains);
  } else if (!config.model.init_from.empty()) {
    require_weights(config.model.init_from, gpt_shape(config, vocab));
  }
}

void load_weights(const Config& config, const std::optional<Checkpoint>& checkpoint, Learner& learner) {
  if (checkpoint) {
    restore_learner(*checkpoint, learner);
  } else if (!config.model.init_from.empty()) {
    import_weights(config.model.init_from, learner.context(), learner.model());
  }
}

std::optional<double> validation_loss(const Config& config, const data::TokenStream& tokens, Learner& learner,
                                      const StopSignals* signals) {
  data::Windows windows(tokens, config.train.batch_size, config.model.seq_len);
  data::Batch batch;
  double sum = 0;
  std::int64_t rows = 0;
  for (std::int64_t i = 0; (config.train.eval_batches == 0 || i < config.train.eval_batches) && windows.next(batch);
       ++i) {
    if (signals != nullptr && signals->received()) {
      return std::nullopt;
    }
    sum += learner.evaluate(batch) * static_cast<double>(batch.rows);
    rows += batch.rows;
  }
  return sum / static_cast<double>(rows);
}

}  // namespace retape::trainer
