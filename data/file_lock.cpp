#include "data/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string>

#include "nn/base/error.h"

namespace retape::data {
namespace {

constexpr std::size_t kLongestId = 20;  // in digits, and a newline

// What the file holds, up to one byte more than a FileLock writes.
std::string contents(const FileDescriptor& file) {
  std::string text(kLongestId + 1, '\0');
  const ssize_t count = ::pread(file.get(), text.data(), text.size(), 0);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  return text;
}

// A kill may leave the file empty, or without its newline.
bool is_lock(const FileDescriptor& file) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return false;
  }
  const std::string text = contents(file);
  return text.size() <= kLongestId && text.find_first_not_of("0123456789\n") == std::string::npos;
}

// "process 1234" where the file says so.
std::string holder(const FileDescriptor& file) {
  const std::string text = contents(file);
  int id = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), id);
  return result.ec == std::errc() ? fmt::format("process {}", id) : "another process";
}

// Takes a kind of lock without waiting for it.
void take(const FileDescriptor& file, const std::filesystem::path& path, int kind) {
  if (::flock(file.get(), kind | LOCK_NB) == 0) {
    return;
  }
  require<DataError>(errno != EWOULDBLOCK, "[file] {}: {} holds this lock; one process at a time works in {}",
                     path.string(), holder(file), path.parent_path().string());
  if (errno != EOPNOTSUPP && errno != ENOSYS) {
    fail_io(path, "lock", errno);
  }
}

}  // namespace

FileLock::FileLock(const std::filesystem::path& path)
    : file_(path, O_RDWR | O_CREAT | O_NONBLOCK | O_NOFOLLOW, "open") {
  require<DataError>(is_lock(file_), "[file] {}: expected a lock, got a file that no process made for one",
                     path.string());
  take(file_, path, LOCK_EX);
  const std::string id = fmt::format("{}\n", ::getpid());
  if (::ftruncate(file_.get(), 0) != 0 ||
      ::pwrite(file_.get(), id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
    fail_io(path, "write", errno);
  }
}

void require_not_held(const std::filesystem::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  if (file.get() >= 0 && is_lock(file)) {
    take(file, path, LOCK_SH);
  }
}

}  // namespace retape::data
