// What becomes of a run whose folder a new one takes: it is moved, never removed.
#pragma once

#include <filesystem>

namespace retape::trainer {

// Throws DataError where move_earlier_run() could not do its work. Nothing changes.
void require_movable(const std::filesystem::path& out_dir);

// Moves checkpoints, metrics and settings of the run that lies in the folder to OUT_DIR/before-1, or the first of
// before-2, ... that is not there, and returns which; an empty path where there is neither a checkpoint nor a row. What
// is `read` stays. Throws DataError, having moved nothing, where another process is opening a checkpoint for longer
// than a second. The metrics go first: a kill in between leaves a run with its checkpoints.
std::filesystem::path move_earlier_run(const std::filesystem::path& out_dir, const std::filesystem::path& read);

}  // namespace retape::trainer
