#include "trainer/run/screen.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

namespace retape::trainer {
namespace {

// Another standard output for as long as it lives.
class StandardOutput {
 public:
  explicit StandardOutput(int file) : before_(dup(STDOUT_FILENO)) { dup2(file, STDOUT_FILENO); }
  ~StandardOutput() {
    dup2(before_, STDOUT_FILENO);
    close(before_);
  }
  StandardOutput(const StandardOutput&) = delete;
  StandardOutput& operator=(const StandardOutput&) = delete;

 private:
  int before_;
};

void set_columns(int terminal, unsigned short columns) {
  const winsize size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  ASSERT_EQ(ioctl(terminal, TIOCSWINSZ, &size), 0);
}

std::int64_t columns_with(const char* term) {
  setenv("TERM", term, 1);
  return standard_output().columns();
}

TEST(StandardOutputScreen, HasTheColumnsOfTheTerminalAtThisMoment) {
  int terminal = -1;
  int program = -1;
  ASSERT_EQ(openpty(&terminal, &program, nullptr, nullptr, nullptr), 0);
  const StandardOutput output(program);
  set_columns(terminal, 80);
  setenv("TERM", "xterm", 1);
  const Screen screen = standard_output();
  EXPECT_EQ(screen.columns(), 80);
  set_columns(terminal, 47);
  EXPECT_EQ(screen.columns(), 47);
  EXPECT_EQ(columns_with("dumb"), 0);
  EXPECT_EQ(columns_with(""), 0);
  unsetenv("TERM");
  EXPECT_EQ(standard_output().columns(), 0);
  close(program);
  close(terminal);
}

// Whatever TERM says of a terminal that is elsewhere.
TEST(StandardOutputScreen, HasNoColumnsInAPipe) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  {
    const StandardOutput output(ends[1]);
    EXPECT_EQ(columns_with("xterm"), 0);
  }
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace retape::trainer
