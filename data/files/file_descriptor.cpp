#include "data/files/file_descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "nn/base/error.h"

namespace retape::data {

void fail_io(const std::filesystem::path& path, std::string_view action, int error) {
  fail<DataError>("[file] {}: cannot {}: {}", path.string(), action, std::generic_category().message(error));
}

FileDescriptor::FileDescriptor(const std::filesystem::path& path, int flags, std::string_view action, mode_t mode)
    : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {
  if (fd_ < 0) {
    fail_io(path, action, errno);
  }
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.release()) {}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

int FileDescriptor::release() {
  return std::exchange(fd_, -1);
}

}  // namespace retape::data
