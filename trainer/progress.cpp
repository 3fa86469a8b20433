#include "trainer/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "trainer/one_line.h"

namespace retape::trainer {
namespace {

constexpr std::size_t kShortestBar = 10;
constexpr std::size_t kLongestBar = 24;
constexpr std::int64_t kFewestColumns = 24;
constexpr std::chrono::milliseconds kBetweenDrawings{100};

// "0:07", "1:02:03"
std::string clock(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds);
  return whole >= 3600 ? fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
                       : fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace

Progress::Progress(std::int64_t first_step, std::int64_t steps, std::int64_t log_every, Screen screen)
    : first_step_(first_step),
      steps_(steps),
      log_every_(log_every),
      screen_(std::move(screen)),
      start_(screen_.now()) {}

void Progress::step(const StepRow& row) {
  const State state{.done = row.step + 1,
                    .loss = row.result.loss,
                    .tokens_per_s = row.tokens_per_s,
                    .mfu = row.mfu,
                    .step_ms = row.step_ms};
  last_ = state;
  const std::int64_t columns = screen_.columns();
  if (columns < kFewestColumns) {
    write_line(state);
  } else if (!drawn_ || screen_.now() - *drawn_ >= kBetweenDrawings || state.done == steps_) {
    draw(state, columns);
  } else {
    undrawn_ = state;
  }
}

void Progress::say(std::string_view line) {
  clear_bar();
  screen_.write(fmt::format("{}\n", line));
}

void Progress::warn(std::string_view line) {
  clear_bar();
  print_warning(line);
}

void Progress::finish() {
  if (undrawn_ && bar_shown_) {
    if (const std::int64_t columns = screen_.columns(); columns >= kFewestColumns) {
      draw(*undrawn_, columns);
    }
  }
  if (bar_shown_) {
    screen_.write("\n");
    bar_shown_ = false;
  }
}

void Progress::finish(std::string_view out_dir) {
  finish();
  const std::string end = last_ ? fmt::format("loss {:.4f} after step {} of {}, in {}; ", last_->loss, last_->done,
                                              steps_, clock(seconds()))
                                : std::string();
  say(fmt::format("{}the run is in {}", end, on_one_line(out_dir)));
}

void Progress::draw(const State& state, std::int64_t columns) {
  // Not the last column, where the cursor would wrap.
  screen_.write("\r\x1b[K" + bar(state, static_cast<std::size_t>(columns) - 1));
  bar_shown_ = true;
  drawn_ = screen_.now();
  undrawn_.reset();
}

void Progress::write_line(const State& state) {
  clear_bar();
  if (state.done % log_every_ == 0 || state.done == first_step_ + 1 || state.done == steps_) {
    screen_.write(fmt::format("step {}/{}  loss {:.4f}  {:.0f} tokens/s  {:.0f}% of peak  {:.1f} ms  {} left\n",
                              state.done, steps_, state.loss, state.tokens_per_s, 100 * state.mfu, state.step_ms,
                              time_left(state.done)));
  }
}

void Progress::clear_bar() {
  if (bar_shown_) {
    screen_.write("\r\x1b[K");
    bar_shown_ = false;
  }
  drawn_.reset();
  undrawn_.reset();
}

// All of ASCII, so that bytes are columns. What matters most comes first, and what does not fit is left out.
std::string Progress::bar(const State& state, std::size_t columns) const {
  const std::array fields{
      fmt::format(" {}/{}", state.done, steps_),         fmt::format("  loss {:.4f}", state.loss),
      fmt::format("  {} left", time_left(state.done)),   fmt::format("  {:.0f} tokens/s", state.tokens_per_s),
      fmt::format("  {:.0f}% of peak", 100 * state.mfu),
  };
  constexpr std::size_t kBrackets = 2;
  std::string numbers;
  for (const std::string& field : fields) {
    if (kShortestBar + kBrackets + numbers.size() + field.size() > columns) {
      break;
    }
    numbers += field;
  }
  const std::size_t width = std::min(columns - kBrackets - numbers.size(), kLongestBar);
  const auto filled = static_cast<std::size_t>(static_cast<double>(width) * static_cast<double>(state.done) /
                                               static_cast<double>(steps_));
  return fmt::format("[{:<{}}]{}", std::string(filled, '='), width, numbers);
}

std::string Progress::time_left(std::int64_t done) const {
  return clock(seconds() / static_cast<double>(done - first_step_) * static_cast<double>(steps_ - done));
}

double Progress::seconds() const {
  return std::chrono::duration<double>(screen_.now() - start_).count();
}

}  // namespace retape::trainer
