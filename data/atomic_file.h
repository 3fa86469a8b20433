// Writes a file so that its path holds either the old contents or the whole new ones, whatever happens meanwhile: the
// disk fills up, the process is killed, the machine loses power.
//
//   AtomicFile file("run/last.ckpt");
//   file.write(header);
//   file.write(weights);
//   file.commit();       // on disk and under its name; without this line nothing changes
//
// The bytes go to "PATH.retape-tmp.PID.N" beside the target, which is locked until it is renamed over it after an
// fsync. Of a symbolic link it is the target that is written; what is neither absent nor a regular file is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "data/files/file_descriptor.h"

namespace retape::data {

class AtomicFile {
 public:
  // Creates the temporary file; the folder must exist. Every failed system call, here and below, is a DataError with
  // the path and the reason.
  explicit AtomicFile(std::filesystem::path path);
  // Removes the temporary file unless it was committed.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // Appends. Unbuffered, so write large pieces. After an error the file can only be destroyed.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);

  // fsync of the file: what a full disk may still refuse is refused here rather than by commit. Optional.
  void sync();

  // fsync of the file, rename, fsync of the folder. Call once, after the last write.
  void commit();

  const std::filesystem::path& path() const { return path_; }
  // Where the bytes lie until then; empty once they are in place.
  const std::filesystem::path& temporary() const { return temporary_; }
  std::int64_t written_bytes() const { return written_bytes_; }

 private:
  void create_temporary();

  std::filesystem::path path_;       // as it was given, for messages
  std::filesystem::path target_;     // where its links lead
  std::filesystem::path temporary_;  // empty once renamed
  FileDescriptor file_;
  std::int64_t written_bytes_ = 0;
};

// Removes the temporary files that killed processes left in a folder and returns how many there were. Only files with
// AtomicFile's form of name are touched, and none that a process writes; but where a file system knows no locks, nobody
// else may be writing there.
std::int64_t remove_stale_temporaries(const std::filesystem::path& directory);

}  // namespace retape::data
