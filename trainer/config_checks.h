// What a configuration must satisfy beyond the type and range of each key. Messages begin with the place of a key that
// takes part, as in config_reader.h.
#pragma once

#include "trainer/config.h"
#include "trainer/config_origins.h"

namespace retape::trainer {

// Fills in what follows from other settings: the shape of a preset, what DeepSpeed's file says, out_dir, no evaluation
// without validation data. What was set itself stays. Throws ConfigError for a DeepSpeed file that cannot be read or
// says nothing.
void fill_in(Config& config, const ConfigOrigins& origins);

// For a command that brings policies of its own: what the configuration says of its policy counts as not said, and the
// rest of [activation_checkpointing] is taken for that of a policy that has a use for it.
void leave_policy_open(Config& config, ConfigOrigins& origins);

// Throws ConfigError for settings that exclude one another, or have no effect.
void check_combinations(const Config& config, const ConfigOrigins& origins);

// Throws ConfigError for settings that are right and that this version cannot do yet.
void check_available(const Config& config, const ConfigOrigins& origins);

}  // namespace retape::trainer
