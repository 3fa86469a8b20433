#include "trainer/one_line.h"

#include <gmock/gmock.h>

namespace retape::trainer {
namespace {

TEST(OneLine, EscapesWhatATerminalObeysAndWhatIsNotUtf8) {
  EXPECT_EQ(on_one_line("a\nb\t\x1b[2J\x7f"), "a\\x0ab\\x09\\x1b[2J\\x7f");
  EXPECT_EQ(on_one_line("\xc2\x9b\x32J"), "\\xc2\\x9b2J");  // CSI among the C1 controls
  EXPECT_EQ(on_one_line("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(on_one_line("\xc3\xa9 \xe2\x82\xac"), "\xc3\xa9 \xe2\x82\xac");
  EXPECT_EQ(on_one_line(std::string_view("\0", 1)), "\\x00");
}

TEST(OneLine, AMessageHasFewerThanAThousandBytes) {
  EXPECT_EQ(as_message("short\n"), "short\\x0a");
  testing::internal::CaptureStderr();
  print_warning(std::string(160'000, '\n'));
  EXPECT_EQ(testing::internal::GetCapturedStderr().size(), 999U);
}

TEST(OneLine, TextForPeopleKeepsItsLines) {
  EXPECT_EQ(readable("a\n\tb\r\x1b]0;title\a"), "a\n\tb\\x0d\\x1b]0;title\\x07");
  EXPECT_EQ(readable("\xff\xc3\xa9\xe2\x82"), "\xEF\xBF\xBD\xc3\xa9\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(readable("\xc2\x9b"), "\\xc2\\x9b");
}

}  // namespace
}  // namespace retape::trainer
