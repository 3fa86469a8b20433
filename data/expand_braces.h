// The braces of a shell's patterns.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace retape::data {

inline constexpr std::size_t kMostNames = 4096;
inline constexpr std::size_t kMostBraces = 32;  // within each other

// "a{b,c/{d,e}}" gives "ab", "ac/d" and "ac/e"; "{}", a brace without its other, and what follows a backslash stay as
// they are. Throws DataError for braces nested deeper than kMostBraces and for more than kMostNames names.
std::vector<std::string> expand_braces(const std::string& pattern);

}  // namespace retape::data
