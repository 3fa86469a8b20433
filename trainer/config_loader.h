// The way to a Config: the defaults, then a file, then the settings of the command line, checked as a whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "trainer/config.h"

namespace retape::trainer {

// Whose policy of activation checkpointing is in force: the configuration's, or those that a command brings, so that
// the configuration's own does not count.
enum class PolicyOf : std::uint8_t { config, command };

// Each override is "table.key=value" and wins over the file; of two for the same key the last wins. An empty path means
// that there is no file.
//
// Throws ConfigError, one line: "file:line:column: what is wrong" or "--set table.key=value: what is wrong".
Config load_config(const std::filesystem::path& file, std::span<const std::string> overrides = {},
                   PolicyOf policy = PolicyOf::config);

}  // namespace retape::trainer
