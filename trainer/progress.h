// What a run shows while it trains: a bar on a terminal, plain lines in a pipe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "trainer/metrics.h"
#include "trainer/run/screen.h"

namespace retape::trainer {

// The bar fits the width that the terminal has when it is drawn, with fewer numbers where there is less room, and is
// drawn at most ten times a second; the last step's is always drawn. Where not even the shortest fits there are lines.
class Progress {
 public:
  // Lines come every `log_every` steps.
  Progress(std::int64_t first_step, std::int64_t steps, std::int64_t log_every, Screen screen = standard_output());
  // Leaves the bar where it is, so that what comes next, an error among them, has a line of its own.
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void step(const StepRow& row);
  // A line of its own, above the bar; a warning goes to stderr.
  void say(std::string_view line);
  void warn(std::string_view line);
  void finish();
  // Finishes, and says the last loss, the time taken and where the run lies.
  void finish(std::string_view out_dir);

 private:
  // What there is to show of a step.
  struct State {
    std::int64_t done;
    double loss;
    double tokens_per_s;
    double mfu;
    double step_ms;
  };

  void draw(const State& state, std::int64_t columns);
  void write_line(const State& state);
  void clear_bar();
  std::string bar(const State& state, std::size_t columns) const;
  std::string time_left(std::int64_t done) const;
  double seconds() const;

  std::int64_t first_step_;
  std::int64_t steps_;
  std::int64_t log_every_;
  Screen screen_;
  Screen::Time start_;
  bool bar_shown_ = false;
  std::optional<Screen::Time> drawn_;  // when, unless something has been said since
  std::optional<State> undrawn_;       // the newest state, where the bar shows an older one
  std::optional<State> last_;
};

}  // namespace retape::trainer
