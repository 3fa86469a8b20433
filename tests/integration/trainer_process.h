// The trainer as a child process, started as a user starts it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nn/base/units.h"

namespace retape::integration {

struct Surroundings {
  std::optional<Bytes> largest_file;             // a write beyond it fails, as on a full disk
  std::optional<Bytes> most_memory;              // of addresses, libraries included
  std::optional<int> open_files = std::nullopt;  // as many at once, unless the program asks for more
  std::vector<int> closed_streams;               // of 0, 1 and 2
  std::vector<int> ignored_signals;              // as nohup(1) starts a program
  std::vector<std::string> variables;            // NAME=VALUE each, besides the environment of the tests
};

struct Exit {
  int status = -1;  // that the program returned; -1 where a signal ended it
  int signal = 0;   // that ended it
  std::string out;
  std::string err;

  bool ok() const { return status == 0; }
};

// Lines of a text; a last one without an end counts.
std::vector<std::string> lines_of(std::string_view text);

class TrainerProcess {
 public:
  explicit TrainerProcess(const std::vector<std::string>& arguments, const Surroundings& surroundings = {});
  // Kills it if it still runs.
  ~TrainerProcess();
  TrainerProcess(const TrainerProcess&) = delete;
  TrainerProcess& operator=(const TrainerProcess&) = delete;

  void send(int signal) const;
  bool has_ended();
  // What it has written to standard output.
  std::string out_so_far() const;
  // Ends it by force, and the test with a failure, where it takes longer than any test does.
  Exit wait();

 private:
  pid_t pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  std::optional<int> wait_status_;
};

Exit run_trainer(const std::vector<std::string>& arguments, const Surroundings& surroundings = {});

// What a line of the shell prints: `before`, the trainer with these words, `after`.
std::string in_shell(const std::string& before, const std::vector<std::string>& words, const std::string& after);

void pause(std::chrono::microseconds time);

// Asks again and again until `condition` holds; false where it does not when the process has ended.
template <class Condition>
bool wait_until(TrainerProcess& process, Condition condition) {
  while (!condition()) {
    if (process.has_ended()) {
      return condition();
    }
    pause(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace retape::integration
