#include "trainer/progress.h"

#include <gmock/gmock.h>

#include <chrono>
#include <string>
#include <vector>

namespace retape::trainer {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::string_view kClear = "\r\x1b[K";

// A terminal of any width, with a clock that stands unless it is moved.
class ProgressScreen : public testing::Test {
 protected:
  Screen screen() {
    return {.write = [this](std::string_view text) { written.emplace_back(text); },
            .columns = [this] { return columns; },
            .now = [this] { return now; }};
  }

  static StepRow row(std::int64_t step) {
    StepRow row{.step = step, .step_ms = 12.34, .tokens_per_s = 12345.6, .mfu = 0.4567};
    row.result.loss = 2.5;
    return row;
  }

  // The bars that were drawn, without what clears the line.
  std::vector<std::string> bars() const {
    std::vector<std::string> bars;
    for (const std::string& text : written) {
      if (text.starts_with(kClear) && text.size() > kClear.size()) {
        bars.push_back(text.substr(kClear.size()));
      }
    }
    return bars;
  }

  std::vector<std::string> written;
  std::int64_t columns = 80;
  Screen::Time now{};
};

TEST_F(ProgressScreen, TheBarFitsEveryWidth) {
  for (columns = 24; columns <= 200; ++columns) {
    written.clear();
    Progress progress(0, 1'000'000, 10, screen());
    now += std::chrono::hours(1);
    progress.step(row(99'999));
    const std::string bar = bars().at(0);
    EXPECT_LT(static_cast<std::int64_t>(bar.size()), columns) << bar;
    EXPECT_THAT(bar, StartsWith("[="));
    EXPECT_EQ(bar.find('\n'), std::string::npos);
  }
}

TEST_F(ProgressScreen, InEightyColumnsEverythingIsThere) {
  Progress progress(0, 560, 10, screen());
  now += std::chrono::seconds(60);
  progress.step(row(279));
  EXPECT_EQ(bars().at(0), "[========        ] 280/560  loss 2.5000  1:00 left  12346 tokens/s  46% of peak");
}

TEST_F(ProgressScreen, InFewerColumnsTheBarIsShorterAndTheLastNumbersGo) {
  columns = 40;
  Progress progress(0, 560, 10, screen());
  now += std::chrono::seconds(60);
  progress.step(row(279));
  EXPECT_EQ(bars().at(0), "[========        ] 280/560  loss 2.5000");
  columns = 30;
  progress.step(row(559));
  EXPECT_EQ(bars().at(1), "[===================] 560/560");
}

TEST_F(ProgressScreen, TheWidthIsAskedForAtEachDrawing) {
  Progress progress(0, 100, 10, screen());
  progress.step(row(0));
  columns = 40;
  now += milliseconds(100);
  progress.step(row(1));
  EXPECT_GT(bars().at(0).size(), 40U);
  EXPECT_LT(bars().at(1).size(), 40U);
}

TEST_F(ProgressScreen, ItIsDrawnAtMostTenTimesASecond) {
  Progress progress(0, 10'000, 10, screen());
  for (std::int64_t step = 0; step < 5000; ++step) {
    progress.step(row(step));
    now += milliseconds(1);
  }
  EXPECT_EQ(bars().size(), 50U);
}

TEST_F(ProgressScreen, TheLastStateIsDrawn) {
  {
    Progress progress(0, 100, 10, screen());
    progress.step(row(0));
    progress.step(row(1));
    progress.step(row(2));
    EXPECT_EQ(bars().size(), 1U);
  }
  EXPECT_THAT(bars().back(), HasSubstr(" 3/100"));
  EXPECT_EQ(written.back(), "\n");
  written.clear();
  Progress whole(0, 3, 10, screen());
  for (std::int64_t step = 0; step < 3; ++step) {
    whole.step(row(step));
  }
  EXPECT_THAT(bars().back(), HasSubstr(" 3/3"));
}

TEST_F(ProgressScreen, ALineIsSaidAboveTheBar) {
  Progress progress(0, 100, 10, screen());
  progress.step(row(0));
  progress.say("validation loss 2.0");
  EXPECT_EQ(written.at(1), kClear);
  EXPECT_EQ(written.at(2), "validation loss 2.0\n");
  progress.step(row(1));  // comes back at once
  EXPECT_EQ(bars().size(), 2U);
}

TEST_F(ProgressScreen, WithoutATerminalThereAreLines) {
  columns = 0;
  Progress progress(4, 40, 10, screen());
  for (std::int64_t step = 4; step < 40; ++step) {
    progress.step(row(step));
  }
  ASSERT_EQ(written.size(), 5U);  // the first, 10, 20, 30, 40
  EXPECT_EQ(written.at(1), "step 10/40  loss 2.5000  12346 tokens/s  46% of peak  12.3 ms  0:00 left\n");
  EXPECT_THAT(written.at(0), StartsWith("step 5/40"));
  EXPECT_THAT(written.back(), AllOf(StartsWith("step 40/40"), Not(HasSubstr("\x1b"))));
}

TEST_F(ProgressScreen, ATerminalThatBecomesTooNarrowGetsLines) {
  Progress progress(0, 40, 1, screen());
  progress.step(row(0));
  columns = 10;
  progress.step(row(1));
  EXPECT_EQ(written.at(1), kClear);
  EXPECT_THAT(written.at(2), AllOf(StartsWith("step 2/40"), EndsWith(" left\n")));
}

TEST_F(ProgressScreen, TheEndSaysLossTimeAndPlace) {
  for (const std::int64_t width : {std::int64_t{0}, std::int64_t{80}}) {
    columns = width;
    Progress progress(0, 40, 10, screen());
    progress.step(row(38));
    progress.step(row(39));
    now += std::chrono::seconds(3723);
    progress.finish("runs/gpt");
    EXPECT_EQ(written.back(), "loss 2.5000 after step 40 of 40, in 1:02:03; the run is in runs/gpt\n");
  }
  Progress nothing(40, 40, 10, screen());
  nothing.finish("runs/gpt");
  EXPECT_EQ(written.back(), "the run is in runs/gpt\n");
}

}  // namespace
}  // namespace retape::trainer
