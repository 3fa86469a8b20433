#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <initializer_list>

#include "trainer/command_line.h"

namespace {

// A file that took the number of a closed stream would be written to by the next message.
void open_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) == -1) {
      (void)open("/dev/null", O_RDWR);  // takes the lowest free number, which is this one
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  std::signal(SIGXFSZ, SIG_IGN);  // so that a write beyond a limit fails with an error, as on a full disk
  return retape::trainer::run_command_line(argc, argv);
}
