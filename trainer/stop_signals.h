// SIGINT, SIGTERM and SIGHUP as something to ask for, instead of something that happens in the middle of a step.
#pragma once

#include <csignal>
#include <optional>

namespace retape::trainer {

// While it lives the three wait until they are asked for, whichever thread they reach; before and after they do what
// they did. The first says on stdout what it does; a second of the same kind, a quarter of a second later or more,
// ends the process. SIGHUP, which a terminal that closes sends, does neither. One that the process was started to
// ignore, as nohup(1) asks, stays ignored. There is one at a time.
class StopSignals {
 public:
  // `announcement` is that, without an end of its line; it must outlive the program.
  explicit StopSignals(const char* announcement = "stops after this step and saves");
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // The signal that came, if one did; of several the last.
  std::optional<int> received() const;

 private:
  struct sigaction interrupt_before_ {};
  struct sigaction terminate_before_ {};
  struct sigaction hang_up_before_ {};
};

}  // namespace retape::trainer
