#include "trainer/one_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "data/utf8.h"
#include "nn/base/error.h"

namespace retape::trainer {
namespace {

// With "warning: " in front and a newline behind it is below 1,000 bytes.
constexpr std::size_t kLongestMessage = 989;

// C0, DEL and C1, which terminals obey.
bool is_control(char32_t value) {
  return value < 0x20 || (value >= 0x7F && value < 0xA0);
}

std::string escaped(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    text += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  }
  return text;
}

// The text with its control characters escaped, but for those in `allowed`, and with invalid(byte) for each byte that
// is not UTF-8.
template <class Invalid>
std::string printable(std::string_view text, std::string_view allowed, Invalid invalid) {
  std::string out;
  while (!text.empty()) {
    const data::CodePoint point = data::decode_utf8(text, 0);
    const std::string_view bytes = text.substr(0, static_cast<std::size_t>(std::max(point.length, 1)));
    if (point.length == 0) {
      out += invalid(bytes);
    } else if (is_control(point.value) && allowed.find(text.front()) == std::string_view::npos) {
      out += escaped(bytes);
    } else {
      out += bytes;
    }
    text.remove_prefix(bytes.size());
  }
  return out;
}

void print_to_stderr(std::string_view kind, std::string_view message) {
  std::fflush(stdout);
  const std::string line = fmt::format("{}: {}\n", kind, as_message(message));
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace

std::string on_one_line(std::string_view text) {
  return printable(text, "", escaped);
}

std::string as_message(std::string_view text) {
  return excerpt(on_one_line(text), kLongestMessage);
}

std::string readable(std::string_view text) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  return printable(text, "\n\t", [&](std::string_view) { return kReplacement; });
}

void write_out(std::string_view bytes) {
  std::fwrite(bytes.data(), 1, bytes.size(), stdout);
}

void print(std::string_view text) {
  write_out(readable(text));
}

void show(std::string_view text) {
  print(text);
  std::fflush(stdout);
}

void print_error(std::string_view message) {
  print_to_stderr("error", message);
}

void print_warning(std::string_view message) {
  print_to_stderr("warning", message);
}

}  // namespace retape::trainer
