// A small file, read whole.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace retape::data {

// Throws DataError that names the path for a file that cannot be read, is no regular file (a pipe could keep its reader
// waiting for ever), or is larger than `most_bytes`.
std::string read_text(const std::filesystem::path& path, std::size_t most_bytes);

}  // namespace retape::data
