#include "tests/programs/isolate.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <new>

#include "nn/base/error.h"

namespace retape::programs {
namespace {

// A number that both processes see.
class Progress {
 public:
  Progress() {
    void* memory =
        mmap(nullptr, sizeof(std::atomic<std::int64_t>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    require(memory != MAP_FAILED, "[isolate] expected memory to share, got none");
    number_ = new (memory) std::atomic<std::int64_t>(0);
  }
  ~Progress() { munmap(number_, sizeof(*number_)); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  std::int64_t get() const { return *number_; }
  void set(std::int64_t number) { *number_ = number; }

 private:
  std::atomic<std::int64_t>* number_;
};

[[noreturn]] void run_child(int out, Progress& progress, std::int64_t first, std::int64_t end,
                            const std::function<std::string(std::int64_t)>& work, bool quiet) {
  if (quiet) {
    dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
  }
  for (std::int64_t number = first; number < end; ++number) {
    progress.set(number);
    std::string failure;
    try {
      failure = work(number);
    } catch (const std::exception& error) {
      failure = fmt::format("it throws: {}", error.what());
    }
    if (!failure.empty()) {
      const bool told = write(out, failure.data(), failure.size()) == static_cast<ssize_t>(failure.size());
      _exit(told ? 1 : 2);
    }
  }
  progress.set(end);
  _exit(0);
}

// What the child writes until it ends; none where it stands still for too long.
bool read_all(int in, const Progress& progress, std::chrono::seconds patience, std::string& text) {
  std::array<char, 4096> buffer{};
  while (true) {
    const std::int64_t before = progress.get();
    pollfd waits{.fd = in, .events = POLLIN, .revents = 0};
    const int ready = poll(&waits, 1, static_cast<int>(std::chrono::milliseconds(patience).count()));
    if (ready == 0 && progress.get() == before) {
      return false;
    }
    if (ready <= 0) {
      continue;
    }
    const ssize_t count = read(in, buffer.data(), buffer.size());
    if (count <= 0) {
      return true;
    }
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

}  // namespace

Found run_isolated(std::int64_t first, std::int64_t end, const std::function<std::string(std::int64_t)>& work,
                   const Isolation& isolation) {
  Progress progress;
  std::array<int, 2> ends{};
  require(pipe(ends.data()) == 0, "[isolate] expected a pipe, got {}", std::strerror(errno));
  const pid_t child = fork();
  require(child >= 0, "[isolate] expected a process, got {}", std::strerror(errno));
  if (child == 0) {
    close(ends[0]);
    run_child(ends[1], progress, first, end, work, isolation.quiet);
  }
  close(ends[1]);
  Found found;
  const bool in_time = read_all(ends[0], progress, isolation.patience, found.failure);
  close(ends[0]);
  if (!in_time) {
    kill(child, SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  found.number = progress.get();
  if (!in_time) {
    found.failure = fmt::format("it hangs: nothing came for {} s", isolation.patience.count());
  } else if (WIFSIGNALED(status)) {
    found.failure = fmt::format("it crashes: {}", strsignal(WTERMSIG(status)));
  } else if (found.failure.empty() && WEXITSTATUS(status) != 0) {
    found.failure = fmt::format("its process ends with {}", WEXITSTATUS(status));
  }
  return found;
}

}  // namespace retape::programs
