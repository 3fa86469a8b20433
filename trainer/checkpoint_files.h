// Checkpoints of a training run: one file each, in one folder, whole or absent at every moment.
//
//   checkpoints/save-000041-step-00012000.safetensors
//   checkpoints/save-000042-step-00012300.safetensors
//
// A checkpoint is a safetensors file whose metadata holds the step and the caller's state as JSON, and whose last
// tensor holds a checksum of the header and of every other tensor. It is written under a temporary name, synced and
// renamed, so a process killed in the middle of a save leaves the earlier checkpoints and nothing that could be taken
// for one. Saves are numbered, so that "the newest" is the one saved last, also after a run went back to an earlier
// step.
//
// One process at a time saves into a folder; others may open the newest meanwhile, and what they hold stays readable.
// Errors are DataErrors that name the file or folder and the reason; but a whole checkpoint of another version is an
// Error, so that nobody takes it for a corrupt one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/safetensors.h"

namespace retape::trainer {

// A checkpoint opened for reading.
class Checkpoint {
 public:
  // Reads the whole file once and verifies its structure and every checksum.
  explicit Checkpoint(std::filesystem::path path);

  const std::filesystem::path& path() const { return file_.path(); }
  std::int64_t step() const { return step_; }
  const nlohmann::json& state() const { return state_; }

  // Those that were saved, in their order.
  std::span<const StoredTensor> tensors() const;
  bool has(std::string_view name) const { return file_.has(name); }
  const StoredTensor& tensor(std::string_view name) const { return file_.tensor(name); }
  // Their bytes are read from.
  const SafetensorsFile& file() const { return file_; }

 private:
  void verify_checksums() const;

  SafetensorsFile file_;
  std::int64_t step_ = 0;
  nlohmann::json state_;
};

// Makes the folder if it is missing and throws unless checkpoints can be saved into it, which is better known before
// the first of them. Removes what killed saves left behind.
void probe_checkpoint_directory(const std::filesystem::path& directory);

// Saves a checkpoint into the folder, which is made if it is missing, and returns its path. Then removes those of
// `not_whole` and all but the `keep_last` newest others, unless somebody opens one just then, so that the next save
// does it; before, what killed saves left behind. The disk must have room for keep_last + 1 of them. On an error the
// earlier checkpoints are as they were.
//
//   state      anything that must come back: configuration, sampler, generators, tokenizer. Numbers come back exactly,
//              except that JSON has no infinity and no NaN.
//   tensors    names are unique; "__checksums__" is taken
//   keep_last  at least 1
//   not_whole  as LatestCheckpoint lists them: nothing is opened to find others
std::filesystem::path save_checkpoint(const std::filesystem::path& directory, std::int64_t step,
                                      const nlohmann::json& state, std::span<const NamedBytes> tensors,
                                      std::int64_t keep_last, std::span<const std::filesystem::path> not_whole = {});

struct CheckpointEntry {
  std::int64_t save = 0;  // counts the saves into this folder, from 1
  std::int64_t step = 0;
  std::filesystem::path path;
};

// The checkpoints in a folder, which are regular files, by their names, the newest first; nothing is opened. A number
// above 2^50 makes no checkpoint's name. Empty if there is no such folder.
std::vector<CheckpointEntry> list_checkpoints(const std::filesystem::path& directory);

struct LatestCheckpoint {
  std::optional<Checkpoint> checkpoint;          // nothing if the folder has none
  std::vector<std::string> warnings;             // a line for each newer one that was skipped
  std::vector<std::filesystem::path> not_whole;  // those of them that could be read, and are corrupt
};

// Opens the newest checkpoint that verifies. Throws DataError if there are some and none does.
LatestCheckpoint open_latest_checkpoint(const std::filesystem::path& directory);

}  // namespace retape::trainer
