#include "tests/fuzz/target.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>

namespace retape::fuzz {

void require_property(bool holds, std::string_view property) {
  if (!holds) {
    fmt::print(stderr, "does not hold: {}\n", property);
    std::abort();
  }
}

void require_one_line(const Error& error) {
  const std::string_view message = error.what();
  require_property(message.find('\n') == std::string_view::npos, "a message is one line");
  require_property(message.size() < 1000, "a message is below 1,000 bytes");
}

ScratchFile::ScratchFile(std::string_view bytes) : fd_(::memfd_create("fuzz", MFD_CLOEXEC)) {
  require_property(fd_ >= 0, "there is memory for a file");
  overwrite(0, bytes);
}

ScratchFile::~ScratchFile() {
  ::close(fd_);
}

std::filesystem::path ScratchFile::path() const {
  return fmt::format("/proc/self/fd/{}", fd_);
}

void ScratchFile::overwrite(std::size_t offset, std::string_view bytes) {
  const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
  require_property(written == static_cast<ssize_t>(bytes.size()), "there is memory for a file");
}

}  // namespace retape::fuzz
