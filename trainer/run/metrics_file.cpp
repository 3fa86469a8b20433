#include "trainer/run/metrics_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "data/atomic_file.h"
#include "nn/base/error.h"

namespace retape::trainer {
namespace {

[[noreturn]] void fail_on(const std::filesystem::path& path, std::string_view what, int error) {
  fail<DataError>("[metrics] {}: cannot be {}: {}", path.string(), what, std::generic_category().message(error));
}

struct stat status_of(const data::FileDescriptor& file, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) {
    fail_on(path, "looked at", errno);
  }
  return status;
}

std::filesystem::path free_name_for(const std::filesystem::path& path) {
  std::error_code ignored;
  for (int n = 1;; ++n) {
    std::filesystem::path name = fmt::format("{}.replaced-{}", path.string(), n);
    if (!std::filesystem::exists(std::filesystem::symlink_status(name, ignored))) {
      return name;
    }
  }
}

}  // namespace

MetricsFile::MetricsFile(std::filesystem::path path, std::string_view earlier, Warn warn)
    : path_(std::move(path)), warn_(std::move(warn)) {
  std::error_code ignored;  // what cannot be looked at cannot be written either
  require<DataError>(!std::filesystem::is_symlink(path_, ignored), "[metrics] {}: expected a regular file, got a link",
                     path_.string());
  data::AtomicFile start(path_);
  start.write(earlier);
  start.commit();
  open();
}

void MetricsFile::open() {
  file_ = data::FileDescriptor(::open(path_.c_str(), O_WRONLY | O_APPEND | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  if (file_.get() < 0) {
    fail_on(path_, "opened", errno);
  }
  bytes_ = status_of(file_, path_).st_size;
}

void MetricsFile::append(const std::string& line) {
  look_after();
  const std::string whole = line + "\n";
  for (std::string_view rest = whole; !rest.empty();) {
    const ssize_t count = ::write(file_.get(), rest.data(), rest.size());
    if (count < 0 && errno != EINTR) {
      fail_on(path_, "written", errno);
    }
    rest.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  }
  bytes_ += static_cast<off_t>(whole.size());  // not what the file has now: it may have been cut short meanwhile
}

void MetricsFile::look_after() {
  const struct stat own = status_of(file_, path_);
  struct stat found {};
  if (::lstat(path_.c_str(), &found) != 0) {
    if (errno != ENOENT) {
      fail_on(path_, "looked at", errno);
    }
    begin_anew("was removed while the run wrote it; it is written anew from here on");
  } else if (found.st_dev != own.st_dev || found.st_ino != own.st_ino) {
    const std::filesystem::path aside = free_name_for(path_);
    move_aside(aside);
    begin_anew(fmt::format("was replaced while the run wrote it, by what is now {}; it is written anew from here on",
                           aside.string()));
  } else {
    if (own.st_size < bytes_) {
      warn_once("was cut short while the run wrote it; it is written on from there");
    }
    bytes_ = own.st_size;
  }
}

void MetricsFile::sync() {
  // EINVAL: a file system that has no such notion.
  if (::fdatasync(file_.get()) != 0 && errno != EINVAL) {
    fail_on(path_, "synced", errno);
  }
}

// What is gone by itself is out of the way too.
void MetricsFile::move_aside(const std::filesystem::path& aside) const {
  if (::rename(path_.c_str(), aside.c_str()) != 0 && errno != ENOENT) {
    fail_on(path_, "moved aside", errno);
  }
}

// Whoever took the file away may put another there at any moment: it is made only where there is none, which follows no
// link either.
void MetricsFile::begin_anew(std::string_view why) {
  constexpr mode_t kMode = 0666;
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC;
  while ((file_ = data::FileDescriptor(::open(path_.c_str(), kFlags, kMode))).get() < 0) {
    if (errno != EEXIST) {
      fail_on(path_, "created", errno);
    }
    move_aside(free_name_for(path_));
  }
  bytes_ = 0;
  warn_once(why);  // only now: where the folder is gone there is another error to give
}

void MetricsFile::warn_once(std::string_view what) {
  if (!std::exchange(warned_, true)) {
    warn_(fmt::format("[metrics] {}: {}", path_.string(), what));
  }
}

}  // namespace retape::trainer
