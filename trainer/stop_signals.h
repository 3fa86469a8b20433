// SIGINT and SIGTERM as something to ask for, instead of something that happens in the middle of a step.
#pragma once

#include <csignal>
#include <optional>

namespace retape::trainer {

// While it lives the two signals wait until they are asked for. Make it before any other thread starts.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // The signal that came since the last call, if any.
  std::optional<int> take();

 private:
  sigset_t signals_{};
  sigset_t before_{};
};

}  // namespace retape::trainer
