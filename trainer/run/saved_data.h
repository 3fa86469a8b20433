// Whether a run that goes on finds the tokens that it was trained on.
#pragma once

#include <filesystem>
#include <string>

#include "data/dataset.h"
#include "trainer/checkpoint_files.h"
#include "trainer/config.h"

namespace retape::trainer {

// What a checkpoint says of its tokens, and where in its state.
inline constexpr const char* kSavedData = "data";

// Throws DataError, in a line that names the file and what differs, where the run was trained on other tokens than the
// dataset's, unless data.allow_change is set. The dataset has a fingerprint.
void require_same_data(const Checkpoint& checkpoint, const Config& config, const data::Dataset& dataset);

// What there is to say of the same: what differs, or that a checkpoint of an earlier version does not tell; else
// nothing. `path` is where the checkpoint lies by now.
std::string changed_data(const Checkpoint& checkpoint, const std::filesystem::path& path, const data::Dataset& dataset);

}  // namespace retape::trainer
