#include "data/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string>

#include "nn/base/error.h"

namespace retape::data {
namespace {

// "process 1234" where the file says so.
std::string holder(const FileDescriptor& file) {
  std::array<char, 20> text{};
  const ssize_t count = ::pread(file.get(), text.data(), text.size(), 0);
  int id = 0;
  const auto result = std::from_chars(text.data(), text.data() + (count > 0 ? count : 0), id);
  return result.ec == std::errc() ? fmt::format("process {}", id) : "another process";
}

}  // namespace

FileLock::FileLock(const std::filesystem::path& path) : file_(path, O_RDWR | O_CREAT | O_NONBLOCK, "open") {
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    require<DataError>(errno != EWOULDBLOCK, "[file] {}: {} holds this lock; one process at a time works in {}",
                       path.string(), holder(file_), path.parent_path().string());
    if (errno != EOPNOTSUPP && errno != ENOSYS) {
      fail_io(path, "lock", errno);
    }
  }
  const std::string id = fmt::format("{}\n", ::getpid());
  if (::ftruncate(file_.get(), 0) != 0 ||
      ::pwrite(file_.get(), id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
    fail_io(path, "write", errno);
  }
}

}  // namespace retape::data
