// How region inputs are kept: DeepSpeed's `activation_checkpointing` section, under its own names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "nn/base/units.h"

namespace retape::checkpointing {

struct Settings {
  bool partition_activations = false;           // over the tensor-parallel group
  bool contiguous_memory_optimization = false;  // in one slab; unlike DeepSpeed's it does not need partitioning
  bool cpu_checkpointing = false;               // in host memory
  std::int64_t number_checkpoints = 0;          // that the slab holds; 0: slab_bytes
  Bytes slab_bytes = 0;                         // measured on the meta device
  Bytes host_memory_limit = 0;                  // 0: what the host has
  bool synchronize_checkpoint_boundary = false;
  bool profile = false;

  // Every setting that changes what is done: what the ranks of a group must have alike.
  std::string describe() const;
};

// What somebody asked for; what is not set leaves the setting as it was.
struct Overrides {
  std::optional<bool> partition_activations = std::nullopt;
  std::optional<bool> contiguous_memory_optimization = std::nullopt;
  std::optional<bool> cpu_checkpointing = std::nullopt;
  std::optional<std::int64_t> number_checkpoints = std::nullopt;
  std::optional<Bytes> slab_bytes = std::nullopt;
  std::optional<Bytes> host_memory_limit = std::nullopt;
  std::optional<bool> synchronize_checkpoint_boundary = std::nullopt;
  std::optional<bool> profile = std::nullopt;
};

Settings apply(Settings settings, const Overrides& overrides);

// Throws ConfigError for values out of range.
void check(const Settings& settings);

// Reads the section "activation_checkpointing" of a DeepSpeed configuration, which is Hjson (data/files/json.h); other
// sections are not ours. What is null there, or a number that is false, is not set. Throws ConfigError, naming the
// file, for a file that cannot be read or parsed, a key of the section that DeepSpeed does not have (with those that it
// has), and a value of another type.
Overrides read_deepspeed_config(const std::filesystem::path& path);

// Whether such a file has that section, with anything in it. Throws as above where the file cannot be read or parsed.
bool has_deepspeed_section(const std::filesystem::path& path);

}  // namespace retape::checkpointing
