#include "trainer/one_line.h"

#include <fmt/format.h>

#include <cstdio>

namespace retape::trainer {

std::string on_one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    const bool is_control = code < 0x20 || code == 0x7f;
    line += is_control ? fmt::format("\\x{:02x}", code) : std::string(1, c);
  }
  return line;
}

void print_warning(std::string_view message) {
  std::fflush(stdout);
  std::fputs(("warning: " + on_one_line(message) + "\n").c_str(), stderr);
}

}  // namespace retape::trainer
