// A file that is read where it is asked for. Nothing of it is mapped: a read from a mapped file that has shrunk is
// answered with SIGBUS, and this one's with an error.
//
// The file stays open, so one that is removed, or replaced by renaming another over it, is read as it was. Reading
// moves nothing, so threads may read at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/files/file_descriptor.h"

namespace retape::data {

class InputFile {
 public:
  // Throws DataError with the path and the reason for a file that is missing, unreadable, empty or not a regular file.
  explicit InputFile(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  // Bytes, when it was opened: at least one.
  std::int64_t size() const { return size_; }
  const FileDescriptor& descriptor() const { return file_; }

  // Fills `out` with the bytes from `offset`. Throws Error for a range that is not inside the file as it was opened,
  // and DataError with what was expected and found for a file that is shorter now, whichever part of it is asked for.
  void read(std::int64_t offset, std::span<std::byte> out) const;

  // The first `most` bytes, or all where there are fewer. Throws as read() does.
  std::string beginning(std::int64_t most) const;
  // All of it. Throws as read() does.
  std::string text() const { return beginning(size_); }

 private:
  void require_length() const;

  std::filesystem::path path_;
  FileDescriptor file_;
  std::int64_t size_ = 0;
};

// Files in the order of their concatenation. Shared, because tokens are read from them for as long as anyone needs
// them.
using InputFiles = std::vector<std::shared_ptr<const InputFile>>;

InputFiles open_files(std::span<const std::filesystem::path> paths);

}  // namespace retape::data
