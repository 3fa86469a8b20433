#include "data/files/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "nn/base/error.h"

namespace retape::data {
namespace {

struct stat status_of(const std::filesystem::path& path, const FileDescriptor& file) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) {
    fail_io(path, "read the size", errno);
  }
  return status;
}

}  // namespace

// Opening a pipe that nobody writes to would wait for ever without O_NONBLOCK.
InputFile::InputFile(std::filesystem::path path) : path_(std::move(path)), file_(path_, O_RDONLY | O_NONBLOCK, "open") {
  const struct stat status = status_of(path_, file_);
  require<DataError>(!S_ISDIR(status.st_mode), "[file] {}: expected a file, got a directory", path_.string());
  require<DataError>(S_ISREG(status.st_mode), "[file] {}: expected a regular file", path_.string());
  require<DataError>(status.st_size > 0, "[file] {}: the file is empty", path_.string());
  size_ = status.st_size;
}

void InputFile::read(std::int64_t offset, std::span<std::byte> out) const {
  const auto length = static_cast<std::int64_t>(out.size());
  require(offset >= 0 && length <= size_ && offset <= size_ - length,
          "[file] {}: expected a range inside its {} bytes, got {} from {}", path_.string(), size_, length, offset);
  require_length();  // of the whole file, since what is read tells nothing of what follows
  while (!out.empty()) {
    const ssize_t count = ::pread(file_.get(), out.data(), out.size(), offset);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      fail_io(path_, "read", errno);
    }
    if (count == 0) {
      require_length();
      fail<DataError>("[file] {}: expected {} bytes from byte {}, found the end", path_.string(), out.size(), offset);
    }
    out = out.subspan(static_cast<std::size_t>(count));
    offset += count;
  }
}

std::string InputFile::beginning(std::int64_t most) const {
  std::string bytes(static_cast<std::size_t>(std::min(most, size_)), '\0');
  read(0, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

void InputFile::require_length() const {
  const std::int64_t found = status_of(path_, file_).st_size;
  require<DataError>(found >= size_, "[file] {}: expected {} bytes, as when it was opened, found {}: it has shrunk",
                     path_.string(), size_, found);
}

InputFiles open_files(std::span<const std::filesystem::path> paths) {
  InputFiles files;
  for (const std::filesystem::path& path : paths) {
    files.push_back(std::make_shared<const InputFile>(path));
  }
  return files;
}

}  // namespace retape::data
