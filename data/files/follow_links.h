// Where a path leads through symbolic links.
#pragma once

#include <filesystem>

namespace retape::data {

// Where a chain of links leads, which need not exist; the path itself where it is no link. Throws DataError for a chain
// without an end.
std::filesystem::path follow_links(std::filesystem::path path);

}  // namespace retape::data
