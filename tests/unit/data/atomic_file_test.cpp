#include "data/atomic_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <vector>

#include "nn/base/error.h"
#include "tests/support/file_size_limit.h"
#include "tests/support/temp_dir.h"

namespace retape::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(AtomicFile, AppearsWholeAtCommit) {
  const TempDir dir;
  AtomicFile file(dir / "a");
  file.write("hello ");
  file.write(std::as_bytes(std::span(std::string_view("world"))));
  EXPECT_FALSE(std::filesystem::exists(dir / "a"));
  EXPECT_EQ(file.written_bytes(), 11);
  file.commit();
  EXPECT_EQ(dir.read("a"), "hello world");
  EXPECT_EQ(dir.files(), 1U);
}

TEST(AtomicFile, ReplacesTheOldContentsOnlyAtCommit) {
  const TempDir dir;
  dir.write("a", "old");
  {
    AtomicFile file(dir / "a");
    file.write("new");
    EXPECT_EQ(dir.read("a"), "old");
  }
  EXPECT_EQ(dir.read("a"), "old");
  EXPECT_EQ(dir.files(), 1U);
  AtomicFile file(dir / "a");
  file.write("new");
  file.commit();
  EXPECT_EQ(dir.read("a"), "new");
  EXPECT_EQ(dir.files(), 1U);
}

TEST(AtomicFile, TwoWritersOfOnePathDoNotMix) {
  const TempDir dir;
  AtomicFile one(dir / "a");
  AtomicFile two(dir / "a");
  one.write("first");
  two.write("second");
  one.commit();
  EXPECT_EQ(dir.read("a"), "first");
  two.commit();
  EXPECT_EQ(dir.read("a"), "second");
}

TEST(AtomicFile, AcceptsAPathWithoutAFolder) {
  const TempDir dir;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  {
    AtomicFile file("plain");
    file.write("x");
    EXPECT_NO_THROW(file.commit());
  }
  std::filesystem::current_path(before);
  EXPECT_EQ(dir.read("plain"), "x");
}

TEST(AtomicFile, AWriteThatFailsNamesThePathAndLeavesTheOldFile) {
  const TempDir dir;
  dir.write("a", "old");
  {
    AtomicFile file(dir / "a");
    const std::string large(100'000, 'x');
    const FileSizeLimit limit(65'536);
    EXPECT_THAT([&] { file.write(large); },
                ThrowsMessage<DataError>(AllOf(HasSubstr((dir / "a").string()), HasSubstr("write after 65536 bytes"),
                                               HasSubstr("File too large"))));
  }
  EXPECT_EQ(dir.read("a"), "old");
  EXPECT_EQ(dir.files(), 1U);
}

TEST(AtomicFile, RefusesPathsThatCannotBeWritten) {
  const TempDir dir;
  EXPECT_THAT([&] { AtomicFile(dir / "no/such/folder"); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("no/such/folder"), HasSubstr("No such file or directory"))));
  EXPECT_THAT([&] { AtomicFile{dir.path()}; }, ThrowsMessage<DataError>(HasSubstr("directory")));
  EXPECT_THROW(AtomicFile(""), DataError);
  EXPECT_THAT([&] { AtomicFile(dir / std::string(300, 'x')); }, ThrowsMessage<DataError>(HasSubstr("name too long")));
  EXPECT_EQ(dir.files(), 0U);
}

TEST(AtomicFile, RefusesWhatIsNoRegularFile) {
  const TempDir dir;
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0666), 0);
  for (const std::filesystem::path& special : {dir / "pipe", std::filesystem::path("/dev/null")}) {
    EXPECT_THAT([&] { AtomicFile{special}; },
                ThrowsMessage<DataError>(AllOf(HasSubstr(special.string()), HasSubstr("expected a regular file"))));
  }
  EXPECT_TRUE(std::filesystem::is_fifo(dir / "pipe"));
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_EQ(dir.files(), 1U);
}

TEST(AtomicFile, WritesThroughLinksToTheirTarget) {
  const TempDir dir;
  dir.write("far/target", "old");
  std::filesystem::create_symlink("far/target", dir / "link");
  std::filesystem::create_symlink(dir / "link", dir / "link_to_link");
  for (const std::string name : {"link", "link_to_link"}) {
    AtomicFile file(dir / name);
    file.write(name);
    file.commit();
    EXPECT_TRUE(std::filesystem::is_symlink(dir / name));
    EXPECT_EQ(dir.read("far/target"), name);
  }
  std::filesystem::create_symlink("far/absent", dir / "dangling");
  AtomicFile file(dir / "dangling");
  file.commit();
  EXPECT_TRUE(std::filesystem::is_regular_file(dir / "far/absent"));
  std::filesystem::create_symlink("endless", dir / "endless");
  EXPECT_THAT([&] { AtomicFile(dir / "endless"); }, ThrowsMessage<DataError>(HasSubstr("endless")));
}

TEST(AtomicFile, ARenameThatFailsIsAnErrorAndLeavesNothing) {
  const TempDir dir;
  {
    AtomicFile file(dir / "a");
    std::filesystem::create_directory(dir / "a");
    EXPECT_THAT([&] { file.commit(); }, ThrowsMessage<DataError>(HasSubstr("rename")));
  }
  EXPECT_EQ(dir.files(), 1U);
}

TEST(AtomicFile, CommitsOnce) {
  const TempDir dir;
  AtomicFile file(dir / "a");
  file.commit();
  EXPECT_THAT([&] { file.commit(); }, ThrowsMessage<DataError>(HasSubstr("twice")));
}

TEST(AtomicFile, AKilledWriterLeavesTheOldFileAndATemporaryThatIsRemoved) {
  const TempDir dir;
  dir.write("a", "old");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    AtomicFile file(dir / "a");
    file.write("new");
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(dir.read("a"), "old");
  EXPECT_EQ(dir.files(), 2U);
  for (const char* mine : {"notes.tmp.2024.11", "notes.tmp.txt", "b.retape-tmp.12.", "c.retape-tmp.1x.0"}) {
    dir.write(mine, "mine");
  }
  dir.write("d.retape-tmp.12.0/file", "mine");
  EXPECT_EQ(remove_stale_temporaries(dir.path()), 1);
  EXPECT_EQ(dir.files(), 6U);
  EXPECT_THAT([&] { remove_stale_temporaries(dir / "none"); }, ThrowsMessage<DataError>(HasSubstr("No such file")));
}

// Such as a study that writes its report into the folder of a run that starts.
TEST(AtomicFile, OfALivingWriterIsNotStale) {
  const TempDir dir;
  AtomicFile file(dir / "a");
  file.write("new");
  EXPECT_EQ(remove_stale_temporaries(dir.path()), 0);
  file.commit();
  EXPECT_EQ(dir.read("a"), "new");
}

// A file system that is truly full is not at hand in a test; the device that always is shows the same error.
TEST(FileDescriptor, AFullDeviceBecomesADataError) {
  const FileDescriptor full("/dev/full", O_WRONLY, "open");
  ASSERT_LT(::write(full.get(), "x", 1), 0);
  const int error = errno;
  EXPECT_THAT([&] { fail_io("/dev/full", "write", error); },
              ThrowsMessage<DataError>(testing::StrEq("[file] /dev/full: cannot write: No space left on device")));
}

}  // namespace
}  // namespace retape::data
