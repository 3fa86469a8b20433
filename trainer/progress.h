// What a run shows while it trains: a bar on a terminal, plain lines in a pipe.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "trainer/metrics.h"

namespace retape::trainer {

// Writes to stdout at once. That nobody listens is no reason to stop a training, whose metrics have everything: errors
// are left for the end of the program, which asks the stream.
void show(std::string_view text);

class Progress {
 public:
  // A line every `log_every` steps in a pipe. `terminal` says whether stdout is one.
  Progress(std::int64_t first_step, std::int64_t steps, std::int64_t log_every, bool terminal);
  // Leaves the bar where it is, so that what comes next, an error among them, has a line of its own.
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void step(const StepRow& row);
  // A line of its own, above the bar.
  void say(std::string_view line);
  void finish();

 private:
  void clear_bar();
  std::string time_left(std::int64_t done) const;

  std::int64_t first_step_;
  std::int64_t steps_;
  std::int64_t log_every_;
  bool terminal_;
  bool bar_shown_ = false;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace retape::trainer
