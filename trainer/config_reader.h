// Reads settings from TOML into a Config, one key at a time: names, types and ranges are checked here, combinations of
// keys in config_checks.h. The only user of TOML++.
//
// Throws ConfigError, one line that begins with the place: "gpt.toml:3:7: ..." or "--set model.dim=x: ...".
#pragma once

#include <filesystem>
#include <string_view>

#include "trainer/config.h"
#include "trainer/config_origins.h"

namespace retape::trainer {

// Stores the settings of a file. Keys that the file does not name stay as they are.
void read_config_file(const std::filesystem::path& file, Config& config, ConfigOrigins& origins);

// Stores one setting of the command line, "table.key=value". The value is TOML; what is not TOML, or stands for a text
// without being one, is taken as it is written, so that data.train=/a/b.txt and run.name=7 need no quotes.
void read_override(std::string_view setting, Config& config, ConfigOrigins& origins);

}  // namespace retape::trainer
