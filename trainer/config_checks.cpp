#include "trainer/config_checks.h"

#include <array>
#include <limits>
#include <string_view>
#include <utility>

#include "checkpointing/settings.h"
#include "nn/base/error.h"
#include "trainer/activation_settings.h"
#include "trainer/config_schema.h"
#include "trainer/config_writer.h"
#include "trainer/study_policies.h"

namespace retape::trainer {
namespace {

// The models of Radford et al. 2019 differ in these three; context and vocabulary are the same.
struct PresetShape {
  ModelPreset preset;
  std::int64_t layers;
  std::int64_t heads;
  std::int64_t dim;
};
constexpr std::array kPresetShapes{
    PresetShape{ModelPreset::gpt2, 12, 12, 768},
    PresetShape{ModelPreset::gpt2_medium, 24, 16, 1024},
    PresetShape{ModelPreset::gpt2_large, 36, 20, 1280},
    PresetShape{ModelPreset::gpt2_xl, 48, 25, 1600},
};
constexpr std::int64_t kPresetSeqLen = 1024;
constexpr std::int64_t kPresetVocab = 50257;

// Positions of a micro-step are counted in 32 bits.
constexpr std::int64_t kMaxTokensPerMicroStep = std::numeric_limits<std::int32_t>::max();

void fill_in_preset(Config::Model& model, const ConfigOrigins& origins) {
  const auto fill = [&](std::string_view key, std::int64_t& field, std::int64_t value) {
    if (!origins.is_set(key)) {
      field = value;
    }
  };
  for (const PresetShape& shape : kPresetShapes) {
    if (shape.preset == model.preset) {
      fill("model.layers", model.layers, shape.layers);
      fill("model.heads", model.heads, shape.heads);
      fill("model.dim", model.dim, shape.dim);
      fill("model.seq_len", model.seq_len, kPresetSeqLen);
      fill("model.vocab", model.vocab, kPresetVocab);
    }
  }
}

bool has_validation_data(const Config::Data& data) {
  return !data.val.empty() || data.val_fraction > 0;
}

void check_shape(const Config& config, const ConfigOrigins& origins) {
  const Config::Model& model = config.model;
  require<ConfigError>(model.dim % model.heads == 0, "{}: model.dim: expected a multiple of model.heads = {}, got {}",
                       origins.place_of({"model.dim", "model.heads", "model.preset"}), model.heads, model.dim);
  require<ConfigError>(config.train.batch_size <= kMaxTokensPerMicroStep / model.seq_len,
                       "{}: train.batch_size: expected at most {} sequences of model.seq_len = {}, got {}",
                       origins.place_of({"train.batch_size", "model.seq_len"}), kMaxTokensPerMicroStep / model.seq_len,
                       model.seq_len, config.train.batch_size);
}

// What a step takes is counted in 64 bits, in bytes and in FLOPs: rough upper bounds of both stay below.
void check_size(const Config& config, const ConfigOrigins& origins) {
  constexpr double kMost = 0x1p62;
  constexpr double kLargestTokenizer = 65536;  // where the vocabulary is not known yet
  const auto of = [](std::int64_t count) { return static_cast<double>(count); };
  const Config::Model& model = config.model;
  const double vocab = model.vocab > 0 ? of(model.vocab) : kLargestTokenizer;
  const double parameters =
      of(model.dim) * (12 * of(model.layers) * (of(model.dim) + 2) + 2 * vocab + of(model.seq_len));
  const double tokens = of(config.train.batch_size) * of(model.seq_len);
  const double bytes = 20 * parameters + 100 * tokens * of(model.layers) * of(model.dim);
  const double flops = 8 * tokens * of(config.train.grad_accum) *
                       (parameters + 2 * of(model.layers) * of(model.seq_len) * of(model.dim));
  require<ConfigError>(
      bytes < kMost && flops < kMost,
      "{}: expected a step that takes less than 2^62 bytes and 2^62 FLOPs, got about {:.0e} and {:.0e} "
      "with model.layers = {}, dim = {}, seq_len = {}, vocab = {} and train.batch_size = {}, "
      "grad_accum = {}",
      origins.place_of({"model.dim", "model.layers", "model.seq_len", "model.vocab", "train.batch_size",
                        "train.grad_accum", "model.preset"}),
      bytes, flops, model.layers, model.dim, model.seq_len, model.vocab, config.train.batch_size,
      config.train.grad_accum);
}

// The name is that of a folder in runs/.
void check_name(const Config& config, const ConfigOrigins& origins) {
  const std::string& name = config.run.name;
  require<ConfigError>(name.find('/') == std::string::npos && name != "." && name != "..",
                       "{}: run.name: expected the name of a folder, without \"/\", got {}; run.out_dir takes a path",
                       origins.place_of({"run.name"}), trainer::quoted(name));
}

void check_evaluation(const Config& config, const ConfigOrigins& origins) {
  require<ConfigError>(config.train.eval_every == 0 || has_validation_data(config.data),
                       "{}: train.eval_every: expected 0 without validation data (data.val, data.val_fraction), got {}",
                       origins.place_of({"train.eval_every", "data.val_fraction"}), config.train.eval_every);
}

void check_schedule(const Config& config, const ConfigOrigins& origins) {
  const Config::Optimizer& optimizer = config.optimizer;
  require<ConfigError>(optimizer.schedule != ScheduleChoice::cosine || optimizer.min_lr <= optimizer.lr,
                       "{}: optimizer.min_lr: expected at most optimizer.lr = {}, got {}",
                       origins.place_of({"optimizer.min_lr", "optimizer.lr"}), optimizer.lr, optimizer.min_lr);
}

void check_parallel(const Config& config, const ConfigOrigins& origins) {
  const Config::Parallel& parallel = config.parallel;
  require<ConfigError>(
      config.model.heads % parallel.tensor == 0, "{}: parallel.tensor: expected a divisor of model.heads = {}, got {}",
      origins.place_of({"parallel.tensor", "model.heads", "model.preset"}), config.model.heads, parallel.tensor);
  require<ConfigError>(!parallel.sequence || parallel.tensor > 1,
                       "{}: parallel.sequence: expected parallel.tensor of at least 2 with it, got {}",
                       origins.place_of({"parallel.sequence", "parallel.tensor"}), parallel.tensor);
  const std::int64_t ranks = parallel.tensor * parallel.data;
  require<ConfigError>(parallel.backend != BackendChoice::self || ranks == 1,
                       "{}: parallel.backend: expected another than \"self\", which is one rank, for {} ranks",
                       origins.place_of({"parallel.backend", "parallel.tensor", "parallel.data"}), ranks);
}

// What a DeepSpeed file sets is in the range of the key here.
void require_in_range(std::string_view file, const schema::Key& key) {
  if (const auto* integer = std::get_if<schema::Integer>(&key.field)) {
    require<ConfigError>(*integer->value >= integer->min && *integer->value <= integer->max,
                         "{}: {}: expected {}, got {}", file, key.full_name(), schema::expected(key.field),
                         *integer->value);
  }
}

// A setting that does nothing is a mistake that would go unnoticed. One of a DeepSpeed file is none: such files are
// taken as they are, and the memory plan says what has no effect.
void check_activation_checkpointing(const Config& config, const ConfigOrigins& origins) {
  const Config::ActivationCheckpointing& activations = config.activation_checkpointing;
  Config copy = config;  // keys are those of a configuration that could be written
  for (const schema::Key& key : schema::keys_of(copy)) {
    const std::string name = key.full_name();
    if (key.table == "activation_checkpointing" && !origins.is_set(name)) {
      require_in_range(activations.deepspeed_config, key);
    } else if (key.table == "activation_checkpointing") {
      const std::string reason = what_disables(activations, key.name);
      require<ConfigError>(reason.empty(), "{}: {}: has no effect with activation_checkpointing.{}",
                           origins.place_of({name}), name, reason);
    }
  }
  require<ConfigError>(activations.policy != CheckpointPolicy::selective || !activations.recompute.empty(),
                       "{}: activation_checkpointing.recompute: expected names of ops or values with policy = "
                       "\"selective\", got none",
                       origins.place_of({"activation_checkpointing.recompute", "activation_checkpointing.policy"}));
}

// What DeepSpeed's file says of the keys that are not set themselves.
void fill_in_deepspeed(Config::ActivationCheckpointing& activations, const ConfigOrigins& origins) {
  if (activations.deepspeed_config.empty()) {
    return;
  }
  const checkpointing::Overrides file = checkpointing::read_deepspeed_config(activations.deepspeed_config);
  // A file that says nothing of activation checkpointing was named by mistake.
  require<ConfigError>(checkpointing::has_deepspeed_section(activations.deepspeed_config),
                       "{}: activation_checkpointing: expected a section with settings, got none",
                       activations.deepspeed_config);
  const auto fill = [&](std::string_view name, auto& field, const auto& value) {
    if (value && !origins.is_set(fmt::format("activation_checkpointing.{}", name))) {
      field = *value;
    }
  };
  fill("partition_activations", activations.partition_activations, file.partition_activations);
  fill("cpu_checkpointing", activations.cpu_checkpointing, file.cpu_checkpointing);
  fill("contiguous_memory_optimization", activations.contiguous_memory_optimization,
       file.contiguous_memory_optimization);
  fill("number_checkpoints", activations.number_checkpoints, file.number_checkpoints);
  fill("synchronize_checkpoint_boundary", activations.synchronize_checkpoint_boundary,
       file.synchronize_checkpoint_boundary);
  fill("profile", activations.profile, file.profile);
}

}  // namespace

void fill_in(Config& config, const ConfigOrigins& origins) {
  fill_in_preset(config.model, origins);
  fill_in_deepspeed(config.activation_checkpointing, origins);
  if (config.run.out_dir.empty()) {
    config.run.out_dir = "runs/" + config.run.name;
  }
  if (!has_validation_data(config.data) && !origins.is_set("train.eval_every")) {
    config.train.eval_every = 0;
  }
}

void leave_policy_open(Config& config, ConfigOrigins& origins) {
  for (const char* key : {"policy", "layers", "recompute"}) {
    origins.forget(fmt::format("activation_checkpointing.{}", key));
  }
  config = with_policy(std::move(config), {.text = "full", .policy = CheckpointPolicy::full, .recompute = {}});
}

void check_combinations(const Config& config, const ConfigOrigins& origins) {
  check_name(config, origins);
  check_shape(config, origins);
  check_size(config, origins);
  check_evaluation(config, origins);
  check_schedule(config, origins);
  check_parallel(config, origins);
  check_activation_checkpointing(config, origins);
}

void check_available(const Config& config, const ConfigOrigins& origins) {
  const auto require_available = [&](bool ok, std::string_view key, auto value) {
    require<ConfigError>(ok, "{}: {}: {} is not available in this version", origins.place_of({key}), key, value);
  };
  const BackendChoice backend = config.parallel.backend;
  require_available(backend == BackendChoice::automatic || backend == BackendChoice::self, "parallel.backend",
                    quoted(schema::backend_name(backend)));
  require_available(config.parallel.tensor == 1, "parallel.tensor", config.parallel.tensor);
  require_available(config.parallel.data == 1, "parallel.data", config.parallel.data);
}

}  // namespace retape::trainer
