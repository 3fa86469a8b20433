#include "tests/integration/checkpointing/tiny_runs.h"

#include <algorithm>
#include <utility>

#include "tests/support/random_values.h"
#include "trainer/activation_settings.h"

namespace retape::integration {

using trainer::CheckpointPolicy;

std::vector<PolicyCase> all_policies() {
  return {{.name = "none"},
          {.name = "full", .policy = CheckpointPolicy::full},
          {.name = "full_every_2", .policy = CheckpointPolicy::full, .layers = 2},
          {.name = "selective_cheap", .policy = CheckpointPolicy::selective, .recompute = {"layer_norm", "gelu"}},
          {.name = "selective_attention", .policy = CheckpointPolicy::selective, .recompute = {"attention", "qkv"}},
          {.name = "selective_most",
           .policy = CheckpointPolicy::selective,
           .recompute = {"ln_1", "ln_2", "gelu", "attention", "x_mid"}},
          {.name = "block_2", .policy = CheckpointPolicy::block, .layers = 2},
          {.name = "uniform_2", .policy = CheckpointPolicy::uniform, .layers = 2},
          {.name = "uniform_3", .policy = CheckpointPolicy::uniform, .layers = 3},
          {.name = "nested_2", .policy = CheckpointPolicy::nested, .layers = 2}};
}

PolicyCase policy_named(const std::string& name) {
  const std::vector<PolicyCase> policies = all_policies();
  const auto found =
      std::find_if(policies.begin(), policies.end(), [&name](const PolicyCase& policy) { return policy.name == name; });
  require(found != policies.end(), "no policy is named {}", name);
  return *found;
}

std::string Combination::name() const {
  std::string text = fmt::format("{}_{}_{}ranks", policy.name, nn::name(dtype), ranks);
  text += stores.partition ? "_partition" : "";
  text += stores.slab == Slab::measured ? "_measured" : stores.slab == Slab::counted ? "_counted" : "";
  text += stores.host ? "_host" : "";
  return text;
}

std::string Combination::place() const {
  if (policy.policy == CheckpointPolicy::none || !stores.any()) {
    return "";
  }
  const bool split = stores.partition && ranks > 1;
  const std::string lies = stores.host ? "offloaded" : stores.slab != Slab::off ? "contiguous" : "";
  if (split && !lies.empty()) {
    return "partitioned, " + lies;
  }
  return split ? "partitioned" : lies.empty() ? "in place" : lies;
}

std::ostream& operator<<(std::ostream& stream, const Combination& combination) {
  return stream << combination.name();
}

std::vector<Combination> all_combinations() {
  std::vector<Combination> combinations;
  for (const PolicyCase& policy : all_policies()) {
    for (const nn::DType dtype : {nn::DType::f32, nn::DType::bf16}) {
      for (const int ranks : {1, 2, 4}) {
        for (const bool partition : {false, true}) {
          for (const Slab slab : {Slab::off, Slab::measured, Slab::counted}) {
            for (const bool host : {false, true}) {
              // Without checkpoints there is nothing to measure a slab for.
              if (policy.policy != CheckpointPolicy::none || slab != Slab::measured) {
                combinations.push_back({policy, {partition, slab, host}, dtype, ranks});
              }
            }
          }
        }
      }
    }
  }
  return combinations;
}

trainer::Config tiny_config(const Combination& combination) {
  trainer::Config config;
  config.run.threads = 1;
  config.run.hash_gradients = true;
  config.model.layers = kTinyLayers;
  config.model.heads = 2;
  config.model.dim = 10;
  config.model.seq_len = 7;
  config.model.dropout = 0.1;
  config.model.dtype = combination.dtype;
  config.train.steps = 20;
  config.train.batch_size = 3;
  config.train.grad_accum = 3;
  config.train.eval_every = 5;
  trainer::Config::ActivationCheckpointing& activations = config.activation_checkpointing;
  activations.policy = combination.policy.policy;
  activations.layers = combination.policy.layers;
  activations.recompute = combination.policy.recompute;
  activations.partition_activations = combination.stores.partition;
  activations.contiguous_memory_optimization = combination.stores.slab != Slab::off;
  activations.number_checkpoints = combination.stores.slab == Slab::counted ? kTinyLayers : 0;
  activations.cpu_checkpointing = combination.stores.host;
  return config;
}

TinyRun::TinyRun(nn::DeviceKind kind, trainer::Config config, parallel::Topology topology, Bytes slab_bytes)
    : config_(std::move(config)),
      device_({.kind = kind,
               .threads = static_cast<int>(config_.run.threads),
               .memory_limit = config_.run.memory_limit > 0 ? std::optional(config_.run.memory_limit) : std::nullopt}),
      learner_(device_, config_, kTinyVocab,
               {.topology = std::move(topology),
                .slab_bytes = slab_bytes,
                .warn = [this](const std::string& warning) { warnings_.push_back(warning); },
                .recorded = [this](const nn::Tape& tape) { note(tape); }}) {
  if (config_.activation_checkpointing.policy == CheckpointPolicy::none) {
    checkpointer().configure(trainer::checkpoint_settings(config_, slab_bytes));
  }
}

trainer::StepResult TinyRun::step() {
  return learner_.step(steps_++, [this](data::Batch& batch) { fill(batch); });
}

double TinyRun::evaluate() {
  data::Batch batch;
  fill(batch);
  return learner_.evaluate(batch);
}

void TinyRun::note(const nn::Tape& tape) {
  const std::vector<nn::Residual> residuals = tape.residuals();
  for (const nn::Residual& residual : residuals) {
    if (residual.what == nn::Retain::store) {
      places_.emplace(residual.place);
    }
  }
  if (residuals_.empty()) {
    residuals_ = residuals;
  }
}

void TinyRun::fill(data::Batch& batch) {
  batch.resize(config_.train.batch_size, config_.model.seq_len);
  const std::uint64_t seed = 2 * batches_++;
  const Elems count = batch.rows * batch.seq_len;
  batch.inputs = testing::random_indices(count, seed, kTinyVocab);
  batch.targets = testing::random_indices(count, seed + 1, kTinyVocab);
}

parallel::Topology planned_topology(int rank, int ranks) {
  return parallel::make_topology(*parallel::open_planned(rank, ranks), ranks);
}

Bytes measure_slab(trainer::Config config, int rank, int ranks) {
  trainer::Config::ActivationCheckpointing& activations = config.activation_checkpointing;
  if (!activations.contiguous_memory_optimization || activations.number_checkpoints > 0) {
    return 0;
  }
  activations.host_memory_limit = 0;  // how large it is does not depend on whether it fits
  config.run.memory_limit = 0;
  TinyRun run(nn::DeviceKind::meta, config, planned_topology(rank, ranks), 0);
  run.step();
  return run.checkpointer().store_stats().slab_top;
}

}  // namespace retape::integration
