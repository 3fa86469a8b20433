#include "trainer/stop_signals.h"

#include <gmock/gmock.h>

#include <chrono>
#include <csignal>
#include <thread>

namespace retape::trainer {
namespace {

using testing::HasSubstr;

TEST(StopSignals, AreHeldBackAndAnnouncedOnce) {
  testing::internal::CaptureStderr();
  {
    const StopSignals signals;
    EXPECT_FALSE(signals.received());
    std::raise(SIGTERM);
    EXPECT_EQ(signals.received(), SIGTERM);
    std::raise(SIGINT);
    EXPECT_EQ(signals.received(), SIGINT);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "stops after this step and saves; the same signal again ends it at once\n");
}

TEST(StopSignals, OfAnEarlierRunAreForgotten) {
  testing::internal::CaptureStderr();
  {
    const StopSignals signals;
    std::raise(SIGINT);
  }
  const StopSignals signals;
  EXPECT_FALSE(signals.received());
  std::raise(SIGINT);
  EXPECT_EQ(signals.received(), SIGINT);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("stops after this step"));
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
        testing::KilledBySignal(signal), "stops after this step");
  }
}

}  // namespace
}  // namespace retape::trainer
