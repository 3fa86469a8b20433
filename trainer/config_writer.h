// Writes a configuration as TOML.
#pragma once

#include <string>
#include <string_view>

#include "trainer/config.h"

namespace retape::trainer {

// Every setting in force, defaults included. load_config gives the same Config back.
std::string to_toml(const Config& config);

// The text as a TOML string on one line, in quotes, with control characters escaped.
std::string quoted(std::string_view text);

}  // namespace retape::trainer
