#include "trainer/config/toml_nesting.h"

#include <algorithm>
#include <cctype>

namespace retape::trainer {
namespace {

using std::string_view;

// The end of the string, or of the piece of one, that begins at `begin` with a quote.
std::size_t end_of_string(string_view toml, std::size_t begin) {
  const char quote = toml[begin];
  const auto is_there_thrice = [&](std::size_t at) {
    return at + 2 < toml.size() && toml[at] == quote && toml[at + 1] == quote && toml[at + 2] == quote;
  };
  const bool has_lines = is_there_thrice(begin);
  const auto is_end = [&](std::size_t at) {
    return has_lines ? is_there_thrice(at) : toml[at] == quote || toml[at] == '\n';
  };
  std::size_t at = begin + (has_lines ? 3 : 1);
  while (at < toml.size() && !is_end(at)) {
    at += quote == '"' && toml[at] == '\\' ? 2 : 1;
  }
  at += has_lines ? 3 : 1;
  // Up to two more quotes are the last characters of such a string.
  for (int more = 0; has_lines && more < 2 && at < toml.size() && toml[at] == quote; ++more) {
    ++at;
  }
  return std::min(at, toml.size());
}

bool is_within_key(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == ' ' || c == '\t';
}

}  // namespace

std::size_t find_deep_key(string_view toml) {
  std::size_t names = 1;
  for (std::size_t at = 0; at < toml.size();) {
    const char c = toml[at];
    if (c == '#') {
      at = std::min(toml.find('\n', at), toml.size());
    } else if (c == '"' || c == '\'') {
      at = end_of_string(toml, at);
    } else {
      if (c == '.' && ++names > kMostNamesInKey) {
        return at;
      }
      if (c != '.' && !is_within_key(c)) {
        names = 1;
      }
      ++at;
    }
  }
  return string_view::npos;
}

}  // namespace retape::trainer
