// The settings in force, kept in the folder of a run: in config.toml, or in settings.toml where a config.toml lies
// there that no run wrote, or that is read.
//
// A run knows its own file by the first line, a comment with the checksum of what follows: once it is edited it is
// somebody's. Earlier versions wrote no such line; a file of theirs is a run's where checkpoints lie beside it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "trainer/config.h"

namespace retape::trainer {

// Whether a run works or worked in the folder: it has checkpoints or a run's settings.
bool has_run(const std::filesystem::path& out_dir);

struct SettingsPlace {
  std::filesystem::path file;
  std::string note;  // why it is not config.toml; empty where it is
};

// Where the settings go. `read` is the file that the configuration was read from, or empty. Throws DataError where
// settings.toml is taken too, unless `force` gives it up. Nothing changes.
SettingsPlace place_settings(const std::filesystem::path& out_dir, const std::filesystem::path& read, bool force);

// Writes them, and removes a settings.toml of an earlier start that they take the place of.
void write_settings(const SettingsPlace& place, const Config& config);

// The files with settings of a run in the folder, without the one that is `read`.
std::vector<std::filesystem::path> settings_of_run(const std::filesystem::path& out_dir,
                                                   const std::filesystem::path& read);

}  // namespace retape::trainer
