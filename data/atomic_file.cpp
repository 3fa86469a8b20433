#include "data/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>
#include <utility>

#include "data/files/follow_links.h"
#include "nn/base/error.h"

namespace retape::data {
namespace {

constexpr std::string_view kMark = ".retape-tmp.";

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

// Makes a rename in the folder durable.
void sync_folder(const std::filesystem::path& folder) {
  const FileDescriptor directory(folder, O_RDONLY | O_DIRECTORY, "open the folder");
  // EINVAL: the file system has no such notion, so there is nothing to wait for.
  if (::fsync(directory.get()) != 0 && errno != EINVAL) {
    fail_io(folder, "sync the folder", errno);
  }
}

// Whether nobody else holds the file: its writer does while it lives. Where a file system knows no locks, nobody does.
bool take_lock(const FileDescriptor& file) {
  return ::flock(file.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// Whether `name` ends in ".retape-tmp.PID.N".
bool is_temporary_name(std::string_view name) {
  const std::size_t mark = name.rfind(kMark);
  if (mark == std::string_view::npos) {
    return false;
  }
  const std::string_view numbers = name.substr(mark + kMark.size());
  const std::size_t dot = numbers.find('.');
  return dot != std::string_view::npos && is_number(numbers.substr(0, dot)) && is_number(numbers.substr(dot + 1));
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  require<DataError>(path_.has_filename(), "[file] \"{}\": expected the path of a file", path_.string());
  target_ = follow_links(path_);
  std::error_code ignored;  // what cannot be looked at cannot be written either
  const std::filesystem::file_status found = std::filesystem::status(target_, ignored);
  require<DataError>(!std::filesystem::is_directory(found), "[file] {}: expected a file, got a directory",
                     path_.string());
  require<DataError>(!std::filesystem::exists(found) || std::filesystem::is_regular_file(found),
                     "[file] {}: expected a regular file", path_.string());
  create_temporary();
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) {
    ::unlink(temporary_.c_str());
  }
}

void AtomicFile::create_temporary() {
  // O_EXCL finds a name that no other writer has; a dead process of the same number may have left some behind.
  constexpr int kAttempts = 1000;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::filesystem::path name = fmt::format("{}{}{}.{}", target_.string(), kMark, ::getpid(), attempt);
    FileDescriptor file(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (file.get() < 0 && errno != EEXIST) {
      fail_io(path_, "create", errno);
    }
    // Who removes stale ones may have taken it for one before it was locked.
    struct stat status {};
    if (file.get() >= 0 && take_lock(file) && ::fstat(file.get(), &status) == 0 && status.st_nlink > 0) {
      file_ = std::move(file);
      temporary_ = name;
      return;
    }
  }
  fail_io(path_, "create a temporary file beside it", EEXIST);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file_.get(), bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      fail_io(path_, fmt::format("write after {} bytes", written_bytes_), errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    written_bytes_ += count;
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text)));
}

void AtomicFile::sync() {
  if (::fsync(file_.get()) != 0) {
    fail_io(path_, "sync", errno);
  }
}

void AtomicFile::commit() {
  require<DataError>(!temporary_.empty(), "[file] {}: committed twice", path_.string());
  sync();
  const FileDescriptor lock(::fcntl(file_.get(), F_DUPFD_CLOEXEC, 0));  // keeps it until the file has its name
  // Network file systems may report a full disk only here.
  if (::close(file_.release()) != 0) {
    fail_io(path_, "close", errno);
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
    fail_io(path_, "rename the finished file to it", errno);
  }
  temporary_.clear();
  sync_folder(folder_of(target_));
}

std::int64_t remove_stale_temporaries(const std::filesystem::path& directory) {
  std::int64_t removed = 0;
  std::error_code error;
  std::filesystem::directory_iterator entries(directory, error);
  if (error) {
    fail_io(directory, "list", error.value());
  }
  for (const auto& entry : entries) {
    if (!is_temporary_name(entry.path().filename().string()) || !entry.is_regular_file(error)) {
      continue;
    }
    // One that cannot be opened has just been renamed, or is another user's.
    const FileDescriptor file(::open(entry.path().c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
    if (file.get() < 0 || !take_lock(file)) {
      continue;
    }
    if (::unlink(entry.path().c_str()) == 0) {
      ++removed;
    } else if (errno != ENOENT) {
      fail_io(entry.path(), "remove", errno);
    }
  }
  return removed;
}

}  // namespace retape::data
