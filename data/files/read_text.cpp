#include "data/files/read_text.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "data/files/file_descriptor.h"
#include "nn/base/error.h"

namespace retape::data {

std::string read_text(const std::filesystem::path& path, std::size_t most_bytes) {
  const FileDescriptor file(path, O_RDONLY | O_NONBLOCK, "open");
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) {
    fail_io(path, "read the size", errno);
  }
  require<DataError>(!S_ISDIR(status.st_mode), "[file] {}: expected a file, got a directory", path.string());
  require<DataError>(S_ISREG(status.st_mode), "[file] {}: expected a regular file", path.string());
  require<DataError>(std::cmp_less_equal(status.st_size, most_bytes),
                     "[file] {}: expected a file of at most {} bytes, got {}", path.string(), most_bytes,
                     status.st_size);
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(file.get(), text.data() + size, text.size() - size);
    if (count < 0 && errno != EINTR) {
      fail_io(path, "read", errno);
    }
    if (count == 0) {  // it has become shorter
      break;
    }
    size += static_cast<std::size_t>(count > 0 ? count : 0);
  }
  text.resize(size);
  return text;
}

}  // namespace retape::data
