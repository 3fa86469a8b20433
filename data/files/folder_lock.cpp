#include "data/files/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

namespace retape::data {
namespace {

FileDescriptor open_folder(const std::filesystem::path& folder) {
  return FileDescriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

}  // namespace

FolderLock FolderLock::together(const std::filesystem::path& folder) {
  FileDescriptor open = open_folder(folder);
  while (::flock(open.get(), LOCK_SH) != 0 && errno == EINTR) {
  }
  return FolderLock(std::move(open));
}

std::optional<FolderLock> FolderLock::alone(const std::filesystem::path& folder) {
  FileDescriptor open = open_folder(folder);
  if (::flock(open.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return std::nullopt;
  }
  return FolderLock(std::move(open));
}

}  // namespace retape::data
