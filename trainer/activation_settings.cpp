#include "trainer/activation_settings.h"

#include "nn/base/error.h"

namespace retape::trainer {

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
    case CheckpointPolicy::automatic: break;  // refused when the configuration was loaded
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

}  // namespace retape::trainer
