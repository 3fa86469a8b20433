#include "tests/layering/strip_comments.h"

#include <algorithm>
#include <cctype>

namespace retape::layering {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// One past the literal that opens at `begin`; a literal never reaches beyond its line.
std::size_t end_of_literal(std::string_view text, std::size_t begin) {
  const char quote = text[begin];
  for (std::size_t i = begin + 1; i < text.size() && text[i] != '\n'; ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      return i + 1;
    }
  }
  return std::min(text.find('\n', begin), text.size());
}

// One past the next `terminator` after `begin`, or the end of the text.
std::size_t past(std::string_view text, std::size_t begin, std::string_view terminator) {
  const std::size_t found = text.find(terminator, begin);
  return found == std::string_view::npos ? text.size() : found + terminator.size();
}

// One past the raw string whose R is at `begin`.
std::size_t end_of_raw_string(std::string_view text, std::size_t begin) {
  const std::size_t open = std::min(text.find('(', begin), text.size());
  const std::string closing = ")" + std::string(text.substr(begin + 2, open - begin - 2)) + "\"";
  return past(text, open, closing);
}

}  // namespace

std::string strip_comments(std::string_view text) {
  std::string stripped(text);
  const auto blank = [&stripped](std::size_t begin, std::size_t end) {
    std::replace_if(
        stripped.begin() + static_cast<std::ptrdiff_t>(begin), stripped.begin() + static_cast<std::ptrdiff_t>(end),
        [](char c) { return c != '\n'; }, ' ');
    return end;
  };
  for (std::size_t i = 0; i < text.size();) {
    const std::string_view rest = text.substr(i);
    const bool in_word = i > 0 && is_word(text[i - 1]);  // an apostrophe there separates digits
    if (rest.starts_with("//")) {
      i = blank(i, std::min(text.find('\n', i), text.size()));
    } else if (rest.starts_with("/*")) {
      i = blank(i, past(text, i + 2, "*/"));
    } else if (rest.starts_with("R\"") && !in_word) {
      i = blank(i, end_of_raw_string(text, i));
    } else if (rest.front() == '"' || (rest.front() == '\'' && !in_word)) {
      i = end_of_literal(text, i);
    } else {
      ++i;
    }
  }
  return stripped;
}

}  // namespace retape::layering
