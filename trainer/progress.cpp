#include "trainer/progress.h"

#include <fmt/format.h>

#include <cstdio>

namespace retape::trainer {

void show(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

Progress::Progress(std::int64_t first_step, std::int64_t steps, std::int64_t log_every, bool terminal)
    : first_step_(first_step), steps_(steps), log_every_(log_every), terminal_(terminal) {}

void Progress::step(const StepRow& row) {
  const std::int64_t done = row.step + 1;
  const std::string numbers =
      fmt::format("loss {:.4f}  {:.0f} tokens/s  {:.0f}% of peak", row.result.loss, row.tokens_per_s, 100 * row.mfu);
  if (terminal_) {
    constexpr std::int64_t kWidth = 24;
    const auto filled = static_cast<std::size_t>(kWidth * done / steps_);
    show(fmt::format("\r\x1b[K[{}{}] {}/{}  {}  {} left", std::string(filled, '='),
                     std::string(static_cast<std::size_t>(kWidth) - filled, ' '), done, steps_, numbers,
                     time_left(done)));
    bar_shown_ = true;
  } else if (done % log_every_ == 0 || row.step == first_step_ || done == steps_) {
    show(fmt::format("step {}/{}  {}  {:.1f} ms  {} left\n", done, steps_, numbers, row.step_ms, time_left(done)));
  }
}

void Progress::say(std::string_view line) {
  clear_bar();
  show(fmt::format("{}\n", line));
}

void Progress::finish() {
  if (bar_shown_) {
    show("\n");
    bar_shown_ = false;
  }
}

void Progress::clear_bar() {
  if (bar_shown_) {
    show("\r\x1b[K");
    bar_shown_ = false;
  }
}

std::string Progress::time_left(std::int64_t done) const {
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
  const auto seconds = static_cast<std::int64_t>(spent.count() / static_cast<double>(done - first_step_) *
                                                 static_cast<double>(steps_ - done));
  return seconds >= 3600 ? fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
                         : fmt::format("{}:{:02}", seconds / 60, seconds % 60);
}

}  // namespace retape::trainer
