#include "data/mapped_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "nn/base/error.h"
#include "tests/support/temp_dir.h"

namespace retape::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(MappedFile, GivesTheBytesOfTheFile) {
  const TempDir dir;
  const auto path = dir.write("a", std::string_view("one\0two", 7));
  const MappedFile file(path);
  EXPECT_EQ(file.text(), std::string_view("one\0two", 7));
  EXPECT_EQ(file.bytes().size(), 7U);
  EXPECT_EQ(file.path(), path);
}

TEST(MappedFile, OutlivesTheRemovalOfTheFileAndMoves) {
  const TempDir dir;
  const auto path = dir.write("a", "text");
  MappedFile first(path);
  std::filesystem::remove(path);
  MappedFile second(std::move(first));
  EXPECT_EQ(second.text(), "text");
  MappedFile third(dir.write("b", "other"));
  third = std::move(second);
  EXPECT_EQ(third.text(), "text");
  EXPECT_EQ(third.path(), path);
}

TEST(MappedFile, NamesThePathAndTheReason) {
  const TempDir dir;
  EXPECT_THAT([&] { MappedFile(dir / "missing"); },
              ThrowsMessage<DataError>(AllOf(HasSubstr((dir / "missing").string()), HasSubstr("No such file"))));
  EXPECT_THAT([&] { MappedFile(dir.write("empty", "")); },
              ThrowsMessage<DataError>(AllOf(HasSubstr((dir / "empty").string()), HasSubstr("empty"))));
  EXPECT_THAT([&] { MappedFile(dir.path()); }, ThrowsMessage<DataError>(HasSubstr("directory")));
}

TEST(MappedFile, RefusesAPipeWithoutWaitingForAWriter) {
  const TempDir dir;
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_THAT([&] { MappedFile(dir / "pipe"); }, ThrowsMessage<DataError>(HasSubstr("regular file")));
}

TEST(MappedFile, RefusesAFileThatMayNotBeRead) {
  if (::geteuid() == 0) {
    GTEST_SKIP() << "root may read everything";
  }
  const TempDir dir;
  const auto path = dir.write("secret", "text");
  std::filesystem::permissions(path, std::filesystem::perms::none);
  EXPECT_THAT([&] { MappedFile{path}; }, ThrowsMessage<DataError>(HasSubstr("Permission denied")));
}

}  // namespace
}  // namespace retape::data
