// Which files in a folder are checkpoints, and which are somebody else's.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "nn/base/error.h"
#include "tests/support/temp_dir.h"
#include "trainer/checkpoint_files.h"

namespace retape::trainer {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::ThrowsMessage;

void save(const std::filesystem::path& directory, std::int64_t step) {
  save_checkpoint(directory, step, json::object(), {}, /*keep_last=*/1);
}

std::vector<std::int64_t> steps_in(const std::filesystem::path& directory) {
  std::vector<std::int64_t> steps;
  for (const CheckpointEntry& entry : list_checkpoints(directory)) {
    steps.push_back(entry.step);
  }
  return steps;
}

TEST(CheckpointNames, AreNotThoseOfOtherFiles) {
  const TempDir dir;
  for (const char* name : {"notes.txt", "save-000009-step-00000900.safetensors.bak", "save--step-.safetensors",
                           "save-1x-step-1.safetensors", "save-9223372036854775807-step-1.safetensors"}) {
    dir.write(name, "mine");
  }
  save(dir.path(), 10);
  save(dir.path(), 20);
  EXPECT_THAT(steps_in(dir.path()), ElementsAre(20));
  EXPECT_EQ(dir.files(), 6U);
}

// It would be the last that can be named, and every later save invisible.
TEST(CheckpointNames, AreNotThoseOfAbsurdNumbers) {
  const TempDir dir;
  for (const char* name :
       {"save-9223372036854775806-step-00000003.safetensors", "save-1125899906842625-step-00000003.safetensors",
        "save-000009-step-9223372036854775806.safetensors"}) {
    dir.write(name, "mine");
  }
  save(dir.path(), 10);
  save(dir.path(), 20);
  EXPECT_THAT(steps_in(dir.path()), ElementsAre(20));
  EXPECT_EQ(open_latest_checkpoint(dir.path()).checkpoint->step(), 20);
  EXPECT_EQ(dir.files(), 4U);
}

TEST(CheckpointNames, OfTheLargestNumberAreFoundBeforeTheFirstSave) {
  const TempDir dir;
  const char* name = "save-1125899906842624-step-00000003.safetensors";
  dir.write(name, "mine");
  const auto refuses = ThrowsMessage<DataError>(AllOf(HasSubstr(name), HasSubstr("no save can follow")));
  EXPECT_THAT([&] { probe_checkpoint_directory(dir.path()); }, refuses);
  EXPECT_THAT([&] { save(dir.path(), 10); }, refuses);
  EXPECT_EQ(dir.files(), 1U);
}

TEST(CheckpointNames, AreThoseOfRegularFiles) {
  const TempDir dir;
  constexpr std::string_view kFolder = "save-000000-step-00000000.safetensors";
  constexpr std::string_view kNext = "save-000001-step-00000010.safetensors";
  constexpr std::string_view kPipe = "save-000002-step-00000000.safetensors";
  constexpr std::string_view kLink = "save-000003-step-00000010.safetensors";
  dir.write(std::string(kFolder) + "/notes", "mine");
  std::filesystem::create_directory(dir / kNext);
  ASSERT_EQ(::mkfifo((dir / kPipe).c_str(), 0666), 0);
  std::filesystem::create_symlink("nowhere", dir / kLink);
  EXPECT_FALSE(open_latest_checkpoint(dir.path()).checkpoint);
  save(dir.path(), 10);
  save(dir.path(), 10);
  EXPECT_THAT(steps_in(dir.path()), ElementsAre(10));
  EXPECT_THAT(open_latest_checkpoint(dir.path()).warnings, IsEmpty());
  EXPECT_EQ(dir.read(std::string(kFolder) + "/notes"), "mine");
  EXPECT_TRUE(std::filesystem::is_directory(dir / kNext));
  EXPECT_TRUE(std::filesystem::is_fifo(dir / kPipe));
  EXPECT_TRUE(std::filesystem::is_symlink(dir / kLink));
  EXPECT_FALSE(std::filesystem::exists(dir / "nowhere"));
}

}  // namespace
}  // namespace retape::trainer
