#include "trainer/activation_settings.h"

#include "nn/base/error.h"
#include "trainer/config_schema.h"
#include "trainer/config_writer.h"

namespace retape::trainer {
namespace {

// Whether the key means something under the policy.
bool has_key(CheckpointPolicy policy, std::string_view key) {
  if (policy == CheckpointPolicy::none) {
    return key == "policy" || key == "profile";
  }
  if (key == "layers") {
    return policy != CheckpointPolicy::selective;
  }
  if (key == "recompute") {
    return policy == CheckpointPolicy::selective;
  }
  return true;
}

}  // namespace

checkpointing::Policy checkpoint_policy(const Config& config) {
  const Config::ActivationCheckpointing& activations = config.activation_checkpointing;
  const auto layers = static_cast<int>(activations.layers);
  switch (activations.policy) {
    case CheckpointPolicy::none: return checkpointing::none();
    case CheckpointPolicy::full: return checkpointing::full(layers);
    case CheckpointPolicy::selective: return checkpointing::selective(activations.recompute);
    case CheckpointPolicy::block: return checkpointing::block(layers);
    case CheckpointPolicy::uniform: return checkpointing::uniform(layers);
    case CheckpointPolicy::nested: return checkpointing::nested(layers);
  }
  fail<ConfigError>("[activation_checkpointing] policy: expected one that is available, got number {}",
                    static_cast<int>(activations.policy));
}

checkpointing::Overrides checkpoint_settings(const Config& config, Bytes slab_bytes) {
  const Config::ActivationCheckpointing& activations = config.activation_checkpointing;
  return {.partition_activations = activations.partition_activations,
          .contiguous_memory_optimization = activations.contiguous_memory_optimization,
          .cpu_checkpointing = activations.cpu_checkpointing,
          .number_checkpoints = activations.number_checkpoints,
          .slab_bytes = slab_bytes,
          .host_memory_limit = activations.host_memory_limit,
          .synchronize_checkpoint_boundary = activations.synchronize_checkpoint_boundary,
          .profile = activations.profile};
}

std::string what_disables(const Config::ActivationCheckpointing& activations, std::string_view key) {
  if (!has_key(activations.policy, key)) {
    return fmt::format("policy = {}", quoted(schema::policy_name(activations.policy)));
  }
  if (key == "number_checkpoints" && !activations.contiguous_memory_optimization) {
    return "contiguous_memory_optimization = false";
  }
  if (key == "host_memory_limit" && !activations.cpu_checkpointing) {
    return "cpu_checkpointing = false";
  }
  return {};
}

}  // namespace retape::trainer
