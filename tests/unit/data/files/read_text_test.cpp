#include "data/files/read_text.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "nn/base/error.h"
#include "tests/support/temp_dir.h"

namespace retape::data {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(ReadText, GivesEveryByte) {
  const TempDir dir;
  const std::string bytes("a\0b\n\xff", 5);
  EXPECT_EQ(read_text(dir.write("a", bytes), bytes.size()), bytes);
  EXPECT_EQ(read_text(dir.write("empty", ""), 0), "");
}

TEST(ReadText, RefusesWhatIsNoFileOfThatSize) {
  const TempDir dir;
  EXPECT_THAT([&] { read_text(dir.write("a", "four"), 3); },
              ThrowsMessage<DataError>(HasSubstr("a: expected a file of at most 3 bytes, got 4")));
  EXPECT_THAT([&] { read_text(dir / "none", 3); }, ThrowsMessage<DataError>(HasSubstr("none: cannot open")));
  EXPECT_THAT([&] { read_text(dir.path(), 3); }, ThrowsMessage<DataError>(HasSubstr("got a directory")));
  EXPECT_THAT([&] { read_text("/dev/zero", 3); }, ThrowsMessage<DataError>(HasSubstr("expected a regular file")));
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_THAT([&] { read_text(dir / "pipe", 3); }, ThrowsMessage<DataError>(HasSubstr("expected a regular file")));
}

}  // namespace
}  // namespace retape::data
