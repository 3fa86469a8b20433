// What a configuration must satisfy beyond the type and range of each key. Messages begin with the place of a key that
// takes part, as in config_reader.h.
#pragma once

#include "trainer/config.h"
#include "trainer/config_origins.h"

namespace retape::trainer {

// Fills in what follows from other settings: the shape of a preset, out_dir, no evaluation without validation data.
// What was set itself stays.
void fill_in(Config& config, const ConfigOrigins& origins);

// Throws ConfigError for settings that exclude one another.
void check_combinations(const Config& config, const ConfigOrigins& origins);

// Throws ConfigError for settings that are right and that this version cannot do yet.
void check_available(const Config& config, const ConfigOrigins& origins);

}  // namespace retape::trainer
