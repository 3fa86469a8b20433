#include "data/match_files.h"

#include <glob.h>

#include <algorithm>
#include <system_error>

#include "data/expand_braces.h"
#include "nn/base/error.h"

namespace retape::data {
namespace {

// The system takes no longer path, and glob(3) recurses into each of its folders.
constexpr std::size_t kLongestPattern = 4095;
constexpr std::ptrdiff_t kMostFolders = 256;

// The buffers of glob(3), freed on every way out.
struct Matches {
  glob_t glob{};
  Matches() = default;
  ~Matches() { ::globfree(&glob); }
  Matches(const Matches&) = delete;
  Matches& operator=(const Matches&) = delete;
};

// The files that one pattern without braces matches, in no order.
void append_matches(const std::string& pattern, std::vector<std::filesystem::path>& files) {
  require<DataError>(pattern.size() <= kLongestPattern && std::ranges::count(pattern, '/') <= kMostFolders,
                     "[data] {}: expected a pattern of at most {} bytes and {} folders, got one of {} bytes", pattern,
                     kLongestPattern, kMostFolders, pattern.size());
  Matches matches;
  const int result = ::glob(pattern.c_str(), GLOB_TILDE | GLOB_NOSORT, nullptr, &matches.glob);
  require<DataError>(result == 0 || result == GLOB_NOMATCH, "[data] {}: cannot search for files", pattern);
  for (std::size_t i = 0; i < matches.glob.gl_pathc; ++i) {
    const std::filesystem::path path = matches.glob.gl_pathv[i];
    std::error_code ignored;
    if (!std::filesystem::is_directory(path, ignored)) {
      files.push_back(path);
    }
  }
}

// In no order, and some perhaps twice.
std::vector<std::filesystem::path> find_files(const std::string& pattern) {
  require<DataError>(!pattern.empty(), "[data] path: expected a path or a pattern, got \"\"");
  std::error_code ignored;
  if (std::filesystem::exists(pattern, ignored)) {
    return {pattern};
  }

  std::vector<std::filesystem::path> files;
  for (const std::string& name : expand_braces(pattern)) {
    append_matches(name, files);
  }
  return files;
}

}  // namespace

bool any_file_matches(const std::string& pattern) {
  return !find_files(pattern).empty();
}

std::vector<std::filesystem::path> match_files(const std::string& pattern) {
  std::vector<std::filesystem::path> files = find_files(pattern);
  const bool is_pattern = pattern.find_first_of("*?[{") != std::string::npos;
  require<DataError>(!files.empty(), "[data] {}: {}", pattern,
                     is_pattern ? "no file matches this pattern" : "no such file");
  // glob's own order depends on the locale, and names of one pattern may meet.
  std::ranges::sort(files, {}, &std::filesystem::path::native);
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

std::vector<std::filesystem::path> match_files(std::span<const std::string> patterns) {
  std::vector<std::filesystem::path> files;
  for (const std::string& pattern : patterns) {
    const auto more = match_files(pattern);
    files.insert(files.end(), more.begin(), more.end());
  }
  return files;
}

}  // namespace retape::data
