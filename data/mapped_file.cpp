#include "data/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "data/files/file_descriptor.h"
#include "nn/base/error.h"

namespace retape::data {

MappedFile::MappedFile(std::filesystem::path path) : path_(std::move(path)) {
  // Opening a pipe that nobody writes to would wait for ever without O_NONBLOCK.
  const FileDescriptor file(path_, O_RDONLY | O_NONBLOCK, "open");
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) {
    fail_io(path_, "read the size", errno);
  }
  require<DataError>(!S_ISDIR(status.st_mode), "[file] {}: expected a file, got a directory", path_.string());
  require<DataError>(S_ISREG(status.st_mode), "[file] {}: expected a regular file", path_.string());
  require<DataError>(status.st_size > 0, "[file] {}: the file is empty", path_.string());

  const auto size = static_cast<std::size_t>(status.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) {
    fail_io(path_, "map into memory", errno);
  }
  bytes_ = {static_cast<const std::byte*>(address), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) {
    ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

std::string_view MappedFile::text() const {
  return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
}

MappedFiles map_files(std::span<const std::filesystem::path> paths) {
  MappedFiles files;
  for (const std::filesystem::path& path : paths) {
    files.push_back(std::make_shared<const MappedFile>(path));
  }
  return files;
}

}  // namespace retape::data
