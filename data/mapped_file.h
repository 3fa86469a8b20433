// A file's bytes, mapped read-only: nothing is read before it is touched, and the page cache is shared by all readers.
//
// The file must not shrink while it is mapped (the kernel then answers a read with SIGBUS), so what others may write to
// is read as an InputFile; Retape replaces its own files by renaming a new one over the old, which leaves mappings
// whole.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace retape::data {

class MappedFile {
 public:
  // Throws DataError with the path and the reason for a file that is missing, unreadable, empty or not a regular file.
  explicit MappedFile(std::filesystem::path path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  const std::filesystem::path& path() const { return path_; }
  // At least one byte, aligned to a page.
  std::span<const std::byte> bytes() const { return bytes_; }
  std::string_view text() const;

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

}  // namespace retape::data
