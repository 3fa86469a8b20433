#include "trainer/stop_signals.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>

namespace retape::trainer {
namespace {

using testing::HasSubstr;

TEST(StopSignals, AreHeldBackAndAnnouncedOnce) {
  testing::internal::CaptureStdout();
  {
    const StopSignals signals;
    EXPECT_FALSE(signals.received());
    std::raise(SIGTERM);
    EXPECT_EQ(signals.received(), SIGTERM);
    std::raise(SIGINT);
    EXPECT_EQ(signals.received(), SIGINT);
  }
  EXPECT_EQ(testing::internal::GetCapturedStdout(),
            "stops after this step and saves; the same signal again ends it at once\n");
}

TEST(StopSignals, SayWhatTheyDo) {
  testing::internal::CaptureStdout();
  {
    const StopSignals signals("keeps what is done");
    std::raise(SIGINT);
  }
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "keeps what is done; the same signal again ends it at once\n");
}

TEST(StopSignals, OfAnEarlierRunAreForgotten) {
  testing::internal::CaptureStdout();
  {
    const StopSignals signals;
    std::raise(SIGINT);
  }
  const StopSignals signals;
  EXPECT_FALSE(signals.received());
  std::raise(SIGINT);
  EXPECT_EQ(signals.received(), SIGINT);
  EXPECT_THAT(testing::internal::GetCapturedStdout(), HasSubstr("stops after this step"));
}

TEST(StopSignalsDeathTest, EndTheProcessTheSecondTime) {
  for (const int signal : {SIGINT, SIGTERM}) {
    EXPECT_EXIT(
        {
          const StopSignals signals;
          std::raise(signal);
          std::this_thread::sleep_for(std::chrono::milliseconds(300));
          std::raise(signal);
        },
        testing::KilledBySignal(signal), "");
  }
}

// A shell and the kernel may both say that the terminal has closed; nobody is left to be told.
TEST(StopSignals, OfAClosedTerminalMayComeAgain) {
  testing::internal::CaptureStdout();
  {
    const StopSignals signals;
    std::raise(SIGHUP);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    std::raise(SIGHUP);
    EXPECT_EQ(signals.received(), SIGHUP);
  }
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

TEST(StopSignals, ThatAreIgnoredStayIgnored) {
  std::signal(SIGHUP, SIG_IGN);  // as nohup(1) does
  {
    const StopSignals signals;
    std::raise(SIGHUP);
    EXPECT_FALSE(signals.received());
  }
  EXPECT_EQ(std::signal(SIGHUP, SIG_DFL), SIG_IGN);
}

// Whoever stops a run whose output nobody takes waits for its save alone.
TEST(StopSignals, WaitForNoReader) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_NONBLOCK), 0);
  const std::string much(1 << 16, 'x');
  while (::write(pipe[1], much.data(), much.size()) > 0) {
  }
  ASSERT_EQ(::fcntl(pipe[1], F_SETFL, 0), 0);
  const int before = ::dup(STDOUT_FILENO);
  ::dup2(pipe[1], STDOUT_FILENO);
  {
    const StopSignals signals;
    std::raise(SIGTERM);
    EXPECT_EQ(signals.received(), SIGTERM);
  }
  ::dup2(before, STDOUT_FILENO);
  for (const int file : {before, pipe[0], pipe[1]}) {
    ::close(file);
  }
}

}  // namespace
}  // namespace retape::trainer
