// Writes a configuration as TOML.
#pragma once

#include <string>
#include <string_view>

#include "trainer/config.h"
#include "trainer/config_schema.h"

namespace retape::trainer {

// Every setting in force, defaults included. load_config gives the same Config back, but for deepspeed_config: of that
// file the settings are written, not the name.
std::string to_toml(const Config& config);

// The value of a key.
std::string toml_value(const schema::Field& field);

// The text as a TOML string on one line, in quotes, with control characters escaped.
std::string quoted(std::string_view text);

}  // namespace retape::trainer
