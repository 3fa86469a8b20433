// From the path or pattern that a user names to files.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace retape::data {

// The files that `pattern` names, sorted by their bytes, each once:
//   - a path that exists, taken as it is whatever characters it holds;
//   - or a pattern of the shell: *, ?, [a-z], {one,other/*.txt} and a leading ~. Folders that match are passed over.
// Throws DataError if there is no such file, and for a pattern beyond the limits of expand_braces.h and of paths.
std::vector<std::filesystem::path> match_files(const std::string& pattern);

// Whether there is such a file. Throws DataError for a pattern beyond those limits.
bool any_file_matches(const std::string& pattern);

// The matches of several patterns, one pattern after the other.
std::vector<std::filesystem::path> match_files(std::span<const std::string> patterns);

}  // namespace retape::data
