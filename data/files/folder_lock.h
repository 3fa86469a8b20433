// A lock on a folder between those who open files in it and the one who lets some of them go.
//
// It lies on the folder itself, so that no file is needed for it. Where a file system knows no such lock, all get it.
#pragma once

#include <filesystem>
#include <optional>
#include <utility>

#include "data/files/file_descriptor.h"

namespace retape::data {

class FolderLock {
 public:
  // With others who hold it so; waits for the one who holds it alone, which is never for long. Holds nothing where
  // there is no folder.
  static FolderLock together(const std::filesystem::path& folder);

  // Alone; nothing where others hold it, and no wait.
  static std::optional<FolderLock> alone(const std::filesystem::path& folder);

 private:
  explicit FolderLock(FileDescriptor folder) : folder_(std::move(folder)) {}

  FileDescriptor folder_;  // closing it gives the lock back
};

}  // namespace retape::data
