#include "trainer/stop_signals.h"

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <string_view>

namespace retape::trainer {
namespace {

// A signal belongs to the process, and its handler reaches nothing but what is static.
std::atomic<int> received_signal{0};
std::atomic<std::int64_t> first_interrupt_ns{0};
std::atomic<std::int64_t> first_termination_ns{0};
std::atomic<bool> on_terminal{false};
std::atomic<const char*> what_it_does{""};
static_assert(std::atomic<std::int64_t>::is_always_lock_free && std::atomic<int>::is_always_lock_free &&
                  std::atomic<bool>::is_always_lock_free && std::atomic<const char*>::is_always_lock_free,
              "a signal handler may not wait");

// Two within that time are one: timeout(1) sends its signal to the process and, at once, to the group that it is in.
constexpr std::int64_t kOneSignalNs = 250'000'000;

std::int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// A step may take long: whoever stops it hears at once that it will, by calls that a handler may make. Not where it
// would have to wait for a reader.
void announce() {
  pollfd out{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
  if (::poll(&out, 1, 0) != 1 || (out.revents & POLLOUT) == 0) {
    return;
  }
  const char* const line_before = on_terminal ? "\n" : "";  // a bar or ^C stands in it
  for (const std::string_view text : {line_before, what_it_does.load(), "; the same signal again ends it at once\n"}) {
    (void)!::write(STDOUT_FILENO, text.data(), text.size());
  }
}

// Who closed the terminal hears nothing and asks for nothing more; the shell and the kernel may both say that it
// closed.
void remember_hang_up(int signal) {
  received_signal = signal;
}

void remember(int signal) {
  const int error = errno;
  if (received_signal.exchange(signal) == 0) {
    announce();
  }
  std::atomic<std::int64_t>& first_ns = signal == SIGINT ? first_interrupt_ns : first_termination_ns;
  if (first_ns == 0) {
    first_ns = now_ns();
  } else if (now_ns() - first_ns > kOneSignalNs) {
    std::signal(signal, SIG_DFL);
    ::raise(signal);  // comes when this handler has returned
  }
  errno = error;
}

void catch_signal(int signal, void (*handler)(int), struct sigaction& before) {
  sigaction(signal, nullptr, &before);
  if (before.sa_handler == SIG_IGN) {
    return;
  }
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

}  // namespace

StopSignals::StopSignals(const char* announcement) {
  what_it_does = announcement;
  received_signal = 0;
  first_interrupt_ns = 0;
  first_termination_ns = 0;
  on_terminal = isatty(STDOUT_FILENO) == 1;
  catch_signal(SIGINT, remember, interrupt_before_);
  catch_signal(SIGTERM, remember, terminate_before_);
  catch_signal(SIGHUP, remember_hang_up, hang_up_before_);
}

StopSignals::~StopSignals() {
  sigaction(SIGINT, &interrupt_before_, nullptr);
  sigaction(SIGTERM, &terminate_before_, nullptr);
  sigaction(SIGHUP, &hang_up_before_, nullptr);
}

std::optional<int> StopSignals::received() const {
  const int signal = received_signal;
  return signal > 0 ? std::optional(signal) : std::nullopt;
}

}  // namespace retape::trainer
