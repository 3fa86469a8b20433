// An open file, closed when it goes out of scope, and the error that a failed system call becomes.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string_view>

namespace retape::data {

// Throws DataError "[file] PATH: cannot ACTION: REASON", where the reason is that of `error`, an errno.
[[noreturn]] void fail_io(const std::filesystem::path& path, std::string_view action, int error);

class FileDescriptor {
 public:
  FileDescriptor() = default;
  // Opens with O_CLOEXEC added; a file that O_CREAT makes gets `mode`, less the umask. Throws DataError that names the
  // path, the action and the reason.
  FileDescriptor(const std::filesystem::path& path, int flags, std::string_view action, mode_t mode = 0666);
  // Takes over an open descriptor.
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor();
  FileDescriptor(FileDescriptor&& other) noexcept;
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;

  int get() const { return fd_; }
  // Gives the descriptor up without closing it.
  int release();

 private:
  int fd_ = -1;
};

}  // namespace retape::data
