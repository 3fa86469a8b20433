#include "tests/integration/trainer_process.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <sstream>
#include <system_error>
#include <thread>

namespace retape::integration {
namespace {

// Far more than the slowest test takes on a busy machine.
constexpr std::chrono::minutes kPatience{5};

int check(int result, const char* call) {
  if (result < 0) {
    throw std::system_error(errno, std::generic_category(), call);
  }
  return result;
}

std::string contents(int file) {
  std::string text(static_cast<std::size_t>(check(static_cast<int>(lseek(file, 0, SEEK_END)), "lseek")), '\0');
  text.resize(static_cast<std::size_t>(check(static_cast<int>(pread(file, text.data(), text.size(), 0)), "pread")));
  return text;
}

// In the child, between fork and exec.
void enter(const Surroundings& surroundings, int out, int err) {
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  const auto limit = [](auto resource, std::optional<Bytes> bytes) {
    if (bytes) {
      const auto most = static_cast<rlim_t>(*bytes);
      const rlimit both{.rlim_cur = most, .rlim_max = most};
      setrlimit(resource, &both);
    }
  };
  limit(RLIMIT_FSIZE, surroundings.largest_file);
  limit(RLIMIT_AS, surroundings.most_memory);
  if (surroundings.open_files) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = static_cast<rlim_t>(*surroundings.open_files);
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  for (const std::string& variable : surroundings.variables) {
    putenv(const_cast<char*>(variable.c_str()));
  }
  for (const int number : surroundings.ignored_signals) {
    std::signal(number, SIG_IGN);
  }
  for (const int stream : surroundings.closed_streams) {
    close(stream);
  }
}

}  // namespace

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  std::istringstream stream{std::string(text)};
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(line);
  }
  return lines;
}

TrainerProcess::TrainerProcess(const std::vector<std::string>& arguments, const Surroundings& surroundings)
    : out_(check(memfd_create("stdout", MFD_CLOEXEC), "memfd_create")),
      err_(check(memfd_create("stderr", MFD_CLOEXEC), "memfd_create")) {
  std::vector<std::string> words{RETAPE_TRAINER};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  pid_ = check(fork(), "fork");
  if (pid_ == 0) {
    enter(surroundings, out_, err_);
    execv(argv.front(), argv.data());
    _exit(127);
  }
}

TrainerProcess::~TrainerProcess() {
  if (!wait_status_) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(out_);
  close(err_);
}

void TrainerProcess::send(int signal) const {
  if (!wait_status_) {
    kill(pid_, signal);
  }
}

bool TrainerProcess::has_ended() {
  int status = 0;
  if (!wait_status_ && check(waitpid(pid_, &status, WNOHANG), "waitpid") == pid_) {
    wait_status_ = status;
  }
  return wait_status_.has_value();
}

std::string TrainerProcess::out_so_far() const {
  return contents(out_);
}

Exit TrainerProcess::wait() {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  bool killed = false;
  while (!has_ended()) {
    if (!killed && std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "the trainer does not end";
      send(SIGKILL);
      killed = true;
    }
    pause(std::chrono::milliseconds(1));
  }
  const int status = *wait_status_;
  return {.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
          .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
          .out = contents(out_),
          .err = contents(err_)};
}

Exit run_trainer(const std::vector<std::string>& arguments, const Surroundings& surroundings) {
  return TrainerProcess(arguments, surroundings).wait();
}

std::string in_shell(const std::string& before, const std::vector<std::string>& words, const std::string& after) {
  std::string line = before + RETAPE_TRAINER;
  for (const std::string& word : words) {
    line += " '" + word + "'";
  }
  FILE* shell = popen((line + after).c_str(), "r");
  std::string output;
  for (int c = std::fgetc(shell); c != EOF; c = std::fgetc(shell)) {
    output += static_cast<char>(c);
  }
  pclose(shell);
  return output;
}

void pause(std::chrono::microseconds time) {
  std::this_thread::sleep_for(time);
}

}  // namespace retape::integration
