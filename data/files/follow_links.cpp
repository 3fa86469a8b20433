#include "data/files/follow_links.h"

#include <cerrno>
#include <system_error>

#include "data/files/file_descriptor.h"

namespace retape::data {

std::filesystem::path follow_links(std::filesystem::path path) {
  constexpr int kLongestChain = 40;  // as in the kernel
  const std::filesystem::path start = path;
  std::error_code error;
  for (int links = 0; std::filesystem::is_symlink(path, error); ++links) {
    if (links == kLongestChain) {
      fail_io(start, "follow its links", ELOOP);
    }
    path = path.parent_path() / std::filesystem::read_symlink(path, error);
    if (error) {
      fail_io(start, "follow its links", error.value());
    }
  }
  return path;
}

}  // namespace retape::data
