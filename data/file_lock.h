// A lock between processes: one holder per file, gone with the process that holds it, however that ends.
#pragma once

#include <filesystem>

#include "data/files/file_descriptor.h"

namespace retape::data {

class FileLock {
 public:
  // Takes the lock on the file, which is made if it is missing and afterwards holds this process's id. Throws DataError
  // that names the holder where another process, or another FileLock of this one, has it; and before anything changes
  // where there is something that no FileLock made: a link, or a file of other contents. Where a file system knows no
  // locks there is none to take.
  explicit FileLock(const std::filesystem::path& path);

 private:
  FileDescriptor file_;  // closing it gives the lock back; the file stays, for who removed it could remove another's
};

// Throws DataError where a file that a FileLock made is held; what is no such file holds nothing. Nothing changes.
void require_not_held(const std::filesystem::path& path);

}  // namespace retape::data
