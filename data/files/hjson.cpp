#include <algorithm>
#include <utility>

#include "data/files/json.h"
#include "nn/base/error.h"

namespace retape::data {
namespace {

using nlohmann::json;
using std::string_view;

constexpr string_view kBlanks = " \t\r\n";
constexpr string_view kEndsOfLine = "\r\n";
constexpr string_view kLines = "'''";  // around a string of several lines
constexpr string_view kPunctuation = ",:[]{}";

bool is_among(string_view characters, char c) {
  return characters.find(c) != string_view::npos;
}

string_view without_blanks_at_the_end(string_view text) {
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

// Whether a token is a number as JSON writes it, in range or not.
bool is_number(string_view token) {
  const auto take_digits = [&token] {
    const std::size_t digits = std::min(token.find_first_not_of("0123456789"), token.size());
    token.remove_prefix(digits);
    return digits > 0;
  };
  const auto take_one_of = [&token](string_view characters) {
    const bool is_there = !token.empty() && is_among(characters, token.front());
    token.remove_prefix(is_there ? 1 : 0);
    return is_there;
  };
  take_one_of("-");
  if (!take_one_of("0") && !take_digits()) {
    return false;
  }
  if (take_one_of(".") && !take_digits()) {
    return false;
  }
  if (take_one_of("eE")) {
    take_one_of("+-");
    if (!take_digits()) {
      return false;
    }
  }
  return token.empty();
}

class Reader {
 public:
  Reader(string_view text, JsonBuilder& builder) : text_(text), builder_(builder) {}

  void read() {
    constexpr string_view kByteOrderMark = "\xEF\xBB\xBF";
    at_ = text_.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
    skip_blanks();
    if (peek() == '[') {
      read_array();
    } else {
      read_object();
    }
    skip_blanks();
    if (at_ < text_.size()) {
      fail_expected("the end of the text");
    }
  }

 private:
  // A character that is not in any text of a file stands for its end.
  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  bool take(char c) {
    const bool is_there = at_ < text_.size() && text_[at_] == c;
    at_ += is_there ? 1 : 0;
    return is_there;
  }

  [[noreturn]] void fail_expected(string_view what) const { builder_.fail_expected(at_, what); }

  bool is_comment(std::size_t place) const {
    const string_view rest = text_.substr(place, 2);
    return rest.starts_with('#') || rest == "//" || rest == "/*";
  }

  void skip_blanks() {
    for (;;) {
      at_ = std::min(text_.find_first_not_of(kBlanks, at_), text_.size());
      if (!is_comment(at_)) {
        return;
      }
      const bool is_block = peek(1) == '*';
      const std::size_t end = is_block ? text_.find("*/", at_ + 2) : text_.find_first_of(kEndsOfLine, at_);
      if (is_block && end == string_view::npos) {
        builder_.fail_at(at_, "expected \"*/\" at the end of this comment, got none");
      }
      at_ = std::min(end, text_.size()) + (is_block ? 2 : 0);
    }
  }

  void read_value() {
    switch (peek()) {
      case '{': return read_object();
      case '[': return read_array();
      case '"':
      case '\'': {
        const std::size_t place = at_;
        return builder_.value(text_.substr(at_, kLines.size()) == kLines ? read_lines() : read_quoted(), place);
      }
      default: return read_unquoted();
    }
  }

  // The outermost object may come without braces.
  void read_object() {
    const std::size_t place = at_;
    const bool has_braces = take('{');
    builder_.open(json::object(), place);
    for (skip_blanks(); has_braces ? !take('}') : at_ < text_.size(); skip_blanks()) {
      read_key();
      skip_blanks();
      if (!take(':')) {
        fail_expected("\":\" after a key");
      }
      skip_blanks();
      read_value();
      skip_blanks();
      take(',');
    }
    builder_.close();
  }

  void read_array() {
    builder_.open(json::array(), at_++);
    for (skip_blanks(); !take(']'); skip_blanks()) {
      read_value();
      skip_blanks();
      take(',');
    }
    builder_.close();
  }

  void read_key() {
    const std::size_t place = at_;
    if (peek() == '"' || peek() == '\'') {
      return builder_.key(read_quoted(), place);
    }
    while (at_ < text_.size() && !is_among(kBlanks, text_[at_]) && !is_among(kPunctuation, text_[at_])) {
      ++at_;
    }
    if (at_ == place) {
      fail_expected("a key");
    }
    builder_.key(checked_text(text_.substr(place, at_ - place), place), place);
  }

  // A number, a word of JSON, or else a string up to the end of the line.
  void read_unquoted() {
    const std::size_t place = at_;
    if (place == text_.size() || is_among(kPunctuation, peek())) {
      fail_expected("a value");
    }
    // Looks no further than the token, since a file may be one line.
    std::size_t end = place;
    while (end < text_.size() && !is_among(",]}\r\n", text_[end]) && !is_comment(end)) {
      ++end;
    }
    const string_view token = without_blanks_at_the_end(text_.substr(place, end - place));
    if (token == "true" || token == "false" || token == "null" || is_number(token)) {
      builder_.value(parse_word(token, place), place);
      at_ = end;
      return;
    }
    at_ = std::min(text_.find_first_of(kEndsOfLine, end), text_.size());
    builder_.value(checked_text(without_blanks_at_the_end(text_.substr(place, at_ - place)), place), place);
  }

  json parse_word(string_view token, std::size_t place) const {
    json word = json::parse(token, nullptr, false);
    const bool is_integer = token.find_first_of(".eE") == string_view::npos;
    if (word.is_discarded() || (word.is_number_float() && is_integer)) {
      builder_.fail_of_range(place, token);
    }
    return word;
  }

  // In ''', as it stands there: without what is before the first line, the last end of a line, and the blanks of each
  // line that are not beyond the quotes.
  std::string read_lines() {
    const std::size_t place = at_;
    const std::size_t indent = place - (text_.substr(0, place).rfind('\n') + 1);
    const std::size_t end = text_.find(kLines, place + kLines.size());
    if (end == string_view::npos) {
      builder_.fail_at(place, "expected ''' at the end of this string, got none");
    }
    at_ = end + kLines.size();
    string_view rest = text_.substr(place + kLines.size(), end - place - kLines.size());
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r"), rest.size()));
    const bool begins_below = rest.starts_with('\n');
    rest.remove_prefix(begins_below ? 1 : 0);
    std::string lines;
    for (bool is_indented = begins_below; !rest.empty(); is_indented = true) {
      const std::size_t blanks = std::min(rest.find_first_not_of(" \t\r"), rest.size());
      rest.remove_prefix(is_indented ? std::min(blanks, indent) : 0);
      const std::size_t newline = rest.find('\n');
      const std::size_t next = newline == string_view::npos ? rest.size() : newline + 1;
      lines += rest.substr(0, next);
      rest.remove_prefix(next);
    }
    std::erase(lines, '\r');
    if (lines.ends_with('\n')) {
      lines.pop_back();
    }
    return checked_text(lines, place);
  }

  // In "" or '', with JSON's escapes.
  std::string read_quoted() {
    const std::size_t place = at_;
    const char quote = text_[at_++];
    if (text_.substr(place, kLines.size()) == kLines) {
      builder_.fail_at(place, "expected a string of one line, got one in '''");
    }
    std::string token = "\"";  // as JSON would have it
    while (!take(quote)) {
      if (at_ == text_.size() || is_among(kEndsOfLine, peek())) {
        builder_.fail_at(place, fmt::format("expected {} at the end of this string, got none", quote));
      }
      const char c = text_[at_++];
      const bool escapes = c == '\\' && at_ < text_.size();
      if (c == '"') {
        token += "\\\"";
      } else if (!escapes || peek() != '\'') {
        token += c;
      }
      if (escapes) {
        token += text_[at_++];
      }
    }
    token += '"';
    const json parsed = json::parse(token, nullptr, false);
    if (!parsed.is_string()) {
      builder_.fail_at(place, "expected a string in UTF-8 with JSON's escapes, got " + in_quotes(token));
    }
    return parsed.get<std::string>();
  }

  std::string checked_text(string_view text, std::size_t place) const {
    std::string copy(text);
    try {
      json(copy).dump();  // the library's only check of UTF-8
    } catch (const json::type_error&) {
      builder_.fail_at(place, "expected UTF-8, got " + in_quotes(text));
    }
    return copy;
  }

  string_view text_;
  JsonBuilder& builder_;
  std::size_t at_ = 0;
};

}  // namespace

json parse_hjson(string_view text, string_view name) {
  JsonBuilder builder(text, name);
  Reader(text, builder).read();
  return builder.take();
}

}  // namespace retape::data
