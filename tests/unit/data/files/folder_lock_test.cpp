#include "data/files/folder_lock.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace retape::data {
namespace {

TEST(FolderLock, IsSharedByThoseWhoOpen) {
  const TempDir dir;
  {
    const FolderLock one = FolderLock::together(dir.path());
    const FolderLock two = FolderLock::together(dir.path());
    EXPECT_FALSE(FolderLock::alone(dir.path()));
  }
  const std::optional<FolderLock> alone = FolderLock::alone(dir.path());
  EXPECT_TRUE(alone);
  EXPECT_FALSE(FolderLock::alone(dir.path()));
  EXPECT_EQ(dir.files(), 0U);
}

TEST(FolderLock, OfNoFolderHoldsNothing) {
  const TempDir dir;
  const FolderLock one = FolderLock::together(dir / "none");
  EXPECT_TRUE(FolderLock::alone(dir / "none"));
}

}  // namespace
}  // namespace retape::data
