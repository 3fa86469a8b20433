#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <system_error>

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

// The token files of a run stay open, and there may be thousands of them. The lower limit is for programs that use
// select(), which this one does not.
void open_as_many_files_as_allowed() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

// OpenMP's threads spin between two regions, by default for 5 to 20 ms, which on a shared machine takes the core from
// those that have work. About a millisecond is enough to find the next region. OpenMP reads the variable before main,
// so the program starts once more; where it cannot, it goes on as it is.
void spin_for_a_millisecond(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) {
    return;
  }
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error && setenv("GOMP_SPINCOUNT", "20000", 0) == 0) {
    execv(program.c_str(), argv);
  }
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  spin_for_a_millisecond(argv);
  open_as_many_files_as_allowed();
  std::signal(SIGXFSZ, SIG_IGN);  // so that a write beyond a limit fails with an error, as on a full disk
  return retape::trainer::run_command_line(argc, argv);
}
