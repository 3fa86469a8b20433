// The settings that a checkpoint was saved with: the text of to_toml(), of this version or an earlier one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trainer/checkpoint_files.h"

namespace retape::trainer {

// Values, as they are written, by the full names of their settings.
using SettingTexts = std::vector<std::pair<std::string, std::string>>;

// Those of a text of to_toml(), in its order. Throws DataError, with the place, for a line that it does not write.
SettingTexts settings_in(const std::string& toml, std::string_view place);

// Throws DataError for a text that to_toml() cannot have written, one without a setting that all versions write
// included.
SettingTexts saved_settings(const Checkpoint& checkpoint);

// The seed of the run. Throws as saved_settings() does, and where run.seed is none.
std::uint64_t saved_seed(const Checkpoint& checkpoint);

}  // namespace retape::trainer
