// The folder of a run, run.out_dir: its files by their names, and the right to work in it.
//
//   config.toml      the settings in force; settings.toml where a config.toml of somebody else lies there
//   metrics.jsonl    a row for each step and each evaluation
//   checkpoints/     save-*, and nothing else
//   before-1/, ...   what earlier runs left that train.resume moved out of the way: "never", or a path that leads to
//                    anything but the newest checkpoint
//   .retape.lock     held by the process that works in the folder
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "data/file_lock.h"
#include "data/files/file_descriptor.h"

namespace retape::trainer {

std::filesystem::path checkpoints_in(const std::filesystem::path& out_dir);
std::filesystem::path metrics_in(const std::filesystem::path& out_dir);
bool has_checkpoints(const std::filesystem::path& out_dir);

class RunFolder {
 public:
  // Takes the lock where the folder is there. Throws DataError that names the holder where another process has it, an
  // earlier version of Retape included.
  explicit RunFolder(std::filesystem::path path);

  // Makes the folder if it is missing and takes the lock if it is not held yet; removes the temporary files that killed
  // processes left. Throws DataError.
  void make();

  const std::filesystem::path& path() const { return path_; }

  // Throws DataError where the path no longer leads to the folder that make() left: it was removed, renamed, or another
  // has taken its name. `lost` says what of the run goes with it.
  void require_in_place(std::string_view lost) const;

 private:
  void take_lock();

  std::filesystem::path path_;
  std::optional<data::FileLock> lock_;
  data::FileDescriptor folder_;  // open, so that it is known again
};

}  // namespace retape::trainer
