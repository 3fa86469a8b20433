#include "trainer/stop_signals.h"

#include <atomic>

namespace retape::trainer {
namespace {

// A signal belongs to the process, and its handler reaches nothing but what is static.
std::atomic<int> received_signal{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may not wait");

void remember(int signal) {
  received_signal = signal;
}

void catch_signal(int signal, struct sigaction& before) {
  sigaction(signal, nullptr, &before);
  if (before.sa_handler == SIG_IGN) {
    return;
  }
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

}  // namespace

StopSignals::StopSignals() {
  received_signal = 0;
  catch_signal(SIGINT, interrupt_before_);
  catch_signal(SIGTERM, terminate_before_);
}

StopSignals::~StopSignals() {
  sigaction(SIGINT, &interrupt_before_, nullptr);
  sigaction(SIGTERM, &terminate_before_, nullptr);
}

std::optional<int> StopSignals::received() const {
  const int signal = received_signal;
  return signal > 0 ? std::optional(signal) : std::nullopt;
}

}  // namespace retape::trainer
