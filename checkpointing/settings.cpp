#include "checkpointing/settings.h"

#include <fmt/format.h>

#include "nn/base/error.h"

namespace retape::checkpointing {

std::string Settings::describe() const {
  return fmt::format(
      "partition_activations={} contiguous_memory_optimization={} cpu_checkpointing={} number_checkpoints={} "
      "slab_bytes={} host_memory_limit={} synchronize_checkpoint_boundary={} profile={}",
      partition_activations, contiguous_memory_optimization, cpu_checkpointing, number_checkpoints, slab_bytes,
      host_memory_limit, synchronize_checkpoint_boundary, profile);
}

Settings apply(Settings settings, const Overrides& overrides) {
  const auto take = [](auto& setting, const auto& override) { setting = override.value_or(setting); };
  take(settings.partition_activations, overrides.partition_activations);
  take(settings.contiguous_memory_optimization, overrides.contiguous_memory_optimization);
  take(settings.cpu_checkpointing, overrides.cpu_checkpointing);
  take(settings.number_checkpoints, overrides.number_checkpoints);
  take(settings.slab_bytes, overrides.slab_bytes);
  take(settings.host_memory_limit, overrides.host_memory_limit);
  take(settings.synchronize_checkpoint_boundary, overrides.synchronize_checkpoint_boundary);
  take(settings.profile, overrides.profile);
  return settings;
}

void check(const Settings& settings) {
  const auto require_not_negative = [](std::string_view name, std::int64_t value) {
    require<ConfigError>(value >= 0, "[checkpointing] {}: expected at least 0, got {}", name, value);
  };
  require_not_negative("number_checkpoints", settings.number_checkpoints);
  require_not_negative("slab_bytes", settings.slab_bytes);
  require_not_negative("host_memory_limit", settings.host_memory_limit);
}

}  // namespace retape::checkpointing
