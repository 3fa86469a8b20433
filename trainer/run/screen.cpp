#include "trainer/run/screen.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "trainer/one_line.h"

namespace retape::trainer {
namespace {

bool can_draw() {
  const char* const name = std::getenv("TERM");
  return isatty(STDOUT_FILENO) == 1 && name != nullptr && *name != '\0' && std::string_view(name) != "dumb";
}

std::int64_t terminal_columns() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace

Screen standard_output() {
  const bool draws = can_draw();
  return {.write =
              [](std::string_view bytes) {
                write_out(bytes);
                std::fflush(stdout);
              },
          .columns = [draws] { return draws ? terminal_columns() : 0; },
          .now = [] { return std::chrono::steady_clock::now(); }};
}

}  // namespace retape::trainer
