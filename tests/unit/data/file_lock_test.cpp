#include "data/file_lock.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <optional>

#include "nn/base/error.h"
#include "tests/support/temp_dir.h"

namespace retape::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(FileLock, HasOneHolder) {
  const TempDir dir;
  const std::filesystem::path path = dir / "lock";
  std::optional<FileLock> first(path);
  const std::string id = std::to_string(::getpid());
  EXPECT_EQ(dir.read("lock"), id + "\n");
  EXPECT_THAT([&] { FileLock{path}; },
              ThrowsMessage<DataError>(AllOf(HasSubstr(path.string()), HasSubstr("process " + id + " holds"))));
  first.reset();
  EXPECT_NO_THROW(FileLock{path});
}

TEST(FileLock, MakesAFileThatTheUmaskAloneRestricts) {
  const TempDir dir;
  const mode_t before = ::umask(0027);
  const FileLock held(dir / "lock");
  ::umask(before);
  struct stat status {};
  ASSERT_EQ(::stat((dir / "lock").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0640U);
}

TEST(FileLock, SaysNothingOfAHolderItCannotRead) {
  const TempDir dir;
  const FileLock held(dir / "lock");
  dir.write("lock", "");  // as a kill may leave it
  EXPECT_THAT([&] { FileLock{dir / "lock"}; }, ThrowsMessage<DataError>(HasSubstr("another process holds")));
}

TEST(FileLock, IsGivenBackByAProcessThatIsKilled) {
  const TempDir dir;
  std::array<int, 2> ready{};
  ASSERT_EQ(::pipe(ready.data()), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const FileLock held(dir / "lock");
    (void)!::write(ready[1], "x", 1);
    ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_THAT([&] { FileLock{dir / "lock"}; }, ThrowsMessage<DataError>(HasSubstr("process " + std::to_string(child))));
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_NO_THROW(FileLock{dir / "lock"});
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(FileLock, LeavesAloneWhatIsNoLock) {
  const TempDir dir;
  dir.write("notes", "mine");
  std::filesystem::create_symlink("notes", dir / "link");
  std::filesystem::create_symlink("absent", dir / "dangling");
  for (const char* name : {"notes", "link", "dangling"}) {
    EXPECT_THAT([&] { FileLock{dir / name}; }, ThrowsMessage<DataError>(HasSubstr((dir / name).string())));
    EXPECT_NO_THROW(require_not_held(dir / name));
  }
  EXPECT_EQ(dir.read("notes"), "mine");
  EXPECT_EQ(dir.files(), 3U);
}

TEST(FileLock, CanBeAskedForWithoutTakingIt) {
  const TempDir dir;
  EXPECT_NO_THROW(require_not_held(dir / "lock"));
  EXPECT_EQ(dir.files(), 0U);
  {
    const FileLock held(dir / "lock");
    EXPECT_THAT([&] { require_not_held(dir / "lock"); }, ThrowsMessage<DataError>(HasSubstr("holds this lock")));
  }
  EXPECT_NO_THROW(require_not_held(dir / "lock"));
}

TEST(FileLock, RefusesAPathThatCannotBeOpened) {
  const TempDir dir;
  EXPECT_THAT([&] { FileLock{dir / "none/lock"}; },
              ThrowsMessage<DataError>(AllOf(HasSubstr("none/lock"), HasSubstr("No such file"))));
  EXPECT_THROW(FileLock{dir.path()}, DataError);
}

}  // namespace
}  // namespace retape::data
