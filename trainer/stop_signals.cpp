#include "trainer/stop_signals.h"

#include <pthread.h>

#include <ctime>

namespace retape::trainer {

StopSignals::StopSignals() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals_, &before_);
}

StopSignals::~StopSignals() {
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

std::optional<int> StopSignals::take() {
  const timespec at_once{};
  const int signal = sigtimedwait(&signals_, nullptr, &at_once);
  return signal > 0 ? std::optional(signal) : std::nullopt;
}

}  // namespace retape::trainer
