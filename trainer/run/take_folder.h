// How a training takes the folder of its run: what lies there is looked through, and what is to make room is moved.
#pragma once

#include <filesystem>
#include <optional>

#include "trainer/checkpoint_files.h"
#include "trainer/config.h"
#include "trainer/run/earlier_rows.h"
#include "trainer/run/outputs.h"
#include "trainer/run/run_folder.h"
#include "trainer/run/settings_file.h"

namespace retape::trainer {

// What a start finds in the folder of the run, looked through before anything changes.
struct FoundFiles {
  EarlierRows rows;  // of the run that the checkpoint belongs to, where it is the folder's own
  SettingsPlace settings;
  bool moves = false;                    // what lies there makes room: another run begins, or an earlier part goes on
  std::filesystem::path own_checkpoint;  // the name of the one to go on from, where it lies in the folder itself
};

// Throws DataError for files that are in the way. Warns of rows that are missing below the checkpoint.
FoundFiles look_through(const Config& config, const std::optional<Checkpoint>& checkpoint,
                        const OutputOptions& options);

// Makes the folder of the run if it is missing, takes its lock where that is not held yet, moves what makes room, and
// finds out whether everything that comes later can be written. Returns where the checkpoint lies that the run goes on
// from, which may have been moved along; an empty path where there is none.
std::filesystem::path take_folder(const Config& config, const std::optional<Checkpoint>& checkpoint,
                                  const OutputOptions& options, const FoundFiles& found, RunFolder& folder);

}  // namespace retape::trainer
