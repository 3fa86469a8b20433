// Files that tokens are kept in elsewhere and that are not read here: as raw uint16 they would be garbage that nothing
// notices.
#pragma once

#include <filesystem>
#include <span>
#include <string_view>

#include "data/token.h"

namespace retape::data {

// Throws DataError, which says what can be done, for a file that begins as a NumPy array, an archive, a compressed file
// or the index of a token file does.
void refuse_foreign(const std::filesystem::path& path, std::string_view beginning);

// Throws DataError where `words`, the beginning of a file, can only be the halves of wider ids: every second one is
// next to 0, as the upper half of an id is, and the others are not. Few words tell nothing.
void refuse_wider_ids(const std::filesystem::path& path, std::span<const Token> words);

}  // namespace retape::data
