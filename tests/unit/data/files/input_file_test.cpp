#include "data/files/input_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/base/error.h"
#include "tests/support/temp_dir.h"

namespace retape::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

std::string read(const InputFile& file, std::int64_t offset, std::size_t count) {
  std::string bytes(count, '?');
  file.read(offset, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

TEST(InputFile, GivesTheBytesThatAreAskedFor) {
  const TempDir dir;
  const auto path = dir.write("a", std::string_view("one\0two", 7));
  const InputFile file(path);
  EXPECT_EQ(file.path(), path);
  EXPECT_EQ(file.size(), 7);
  EXPECT_EQ(read(file, 4, 3), "two");
  EXPECT_EQ(read(file, 2, 2), std::string_view("e\0", 2));
  EXPECT_EQ(read(file, 7, 0), "");
  EXPECT_EQ(file.beginning(3), "one");
  EXPECT_EQ(file.beginning(100), file.text());
  EXPECT_EQ(file.text(), std::string_view("one\0two", 7));
}

TEST(InputFile, RefusesRangesOutside) {
  const TempDir dir;
  const InputFile file(dir.write("a", "text"));
  EXPECT_THROW(read(file, 2, 3), Error);
  EXPECT_THROW(read(file, -1, 1), Error);
  EXPECT_THROW(read(file, 5, 0), Error);
}

TEST(InputFile, SaysThatTheFileHasShrunk) {
  const TempDir dir;
  const auto path = dir.write("a", std::string(10'000, 'x'));
  const InputFile file(path);
  std::filesystem::resize_file(path, 5000);
  const auto shrunk = ThrowsMessage<DataError>(
      AllOf(HasSubstr(path.string()), HasSubstr("expected 10000 bytes"), HasSubstr("found 5000"), HasSubstr("shrunk")));
  EXPECT_THAT([&] { read(file, 6000, 10); }, shrunk);
  EXPECT_THAT([&] { read(file, 4990, 20); }, shrunk);
  EXPECT_THAT([&] { read(file, 0, 10); }, shrunk) << "what is still there is not what it was either";
  EXPECT_THAT([&] { file.text(); }, shrunk);
}

TEST(InputFile, StaysAsItWasWhereItGrowsOrIsReplaced) {
  const TempDir dir;
  const auto path = dir.write("a", "text");
  const InputFile file(path);
  dir.write("a", "text and more");
  EXPECT_EQ(file.size(), 4);
  EXPECT_EQ(file.text(), "text");
  std::filesystem::rename(dir.write("b", "o"), path);
  EXPECT_EQ(file.text(), "text");
  std::filesystem::remove(path);
  EXPECT_EQ(file.text(), "text");
}

TEST(InputFile, NamesThePathAndTheReason) {
  const TempDir dir;
  EXPECT_THAT([&] { InputFile(dir / "missing"); },
              ThrowsMessage<DataError>(AllOf(HasSubstr((dir / "missing").string()), HasSubstr("No such file"))));
  EXPECT_THAT([&] { InputFile(dir.write("empty", "")); },
              ThrowsMessage<DataError>(AllOf(HasSubstr((dir / "empty").string()), HasSubstr("empty"))));
  EXPECT_THAT([&] { InputFile(dir.path()); }, ThrowsMessage<DataError>(HasSubstr("directory")));
}

TEST(InputFile, RefusesAPipeWithoutWaitingForAWriter) {
  const TempDir dir;
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_THAT([&] { InputFile(dir / "pipe"); }, ThrowsMessage<DataError>(HasSubstr("regular file")));
}

TEST(InputFile, RefusesAFileThatMayNotBeRead) {
  if (::geteuid() == 0) {
    GTEST_SKIP() << "root may read everything";
  }
  const TempDir dir;
  const auto path = dir.write("secret", "text");
  std::filesystem::permissions(path, std::filesystem::perms::none);
  EXPECT_THAT([&] { InputFile{path}; }, ThrowsMessage<DataError>(HasSubstr("Permission denied")));
}

TEST(InputFiles, ComeInTheirOrder) {
  const TempDir dir;
  const std::vector paths{dir.write("b", "second"), dir.write("a", "first")};
  const InputFiles files = open_files(paths);
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[0]->text(), "second");
  EXPECT_EQ(files[1]->text(), "first");
}

}  // namespace
}  // namespace retape::data
