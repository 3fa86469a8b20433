#include "trainer/checkpoint_files.h"

#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <limits>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "data/files/checksum.h"
#include "data/files/folder_lock.h"
#include "nn/base/error.h"
#include "tests/support/file_size_limit.h"
#include "tests/support/temp_dir.h"

namespace retape::trainer {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::ThrowsMessage;

constexpr std::string_view kSave1Step10 = "save-000001-step-00000010.safetensors";
constexpr std::size_t kTableBytes = 4 * sizeof(std::uint64_t);  // checksums of the header and of three tensors

// Weights that all have the value of the step, so that a mix of two checkpoints shows.
class Weights {
 public:
  explicit Weights(std::int64_t step, std::size_t elems = 5)
      : weights_(elems, static_cast<float>(step)), counts_(3, static_cast<std::int32_t>(step)) {}

  std::vector<NamedBytes> tensors() const {
    return {{.name = "model/wte.weight",
             .dtype = "F32",
             .shape = {static_cast<std::int64_t>(weights_.size())},
             .bytes = std::as_bytes(std::span(weights_))},
            {.name = "empty", .dtype = "F32", .shape = {0}, .bytes = {}},
            {.name = "counts", .dtype = "I32", .shape = {3, 1}, .bytes = std::as_bytes(std::span(counts_))}};
  }

 private:
  std::vector<float> weights_;
  std::vector<std::int32_t> counts_;
};

std::filesystem::path save(const std::filesystem::path& directory, std::int64_t step, std::int64_t keep_last = 2,
                           std::size_t elems = 5) {
  return save_checkpoint(directory, step, json{{"sampler", step}}, Weights(step, elems).tensors(), keep_last);
}

void expect_whole(const Checkpoint& checkpoint, std::size_t elems = 5) {
  EXPECT_EQ(checkpoint.state(), (json{{"sampler", checkpoint.step()}}));
  const Weights expected(checkpoint.step(), elems);
  const std::vector<NamedBytes> tensors = expected.tensors();
  ASSERT_EQ(checkpoint.tensors().size(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const StoredTensor& found = checkpoint.tensors()[i];
    EXPECT_EQ(found.name, tensors[i].name);
    EXPECT_EQ(found.dtype, tensors[i].dtype);
    EXPECT_EQ(found.shape, tensors[i].shape);
    EXPECT_TRUE(std::ranges::equal(checkpoint.file().read(found), tensors[i].bytes));
  }
}

std::vector<std::int64_t> steps_in(const std::filesystem::path& directory) {
  std::vector<std::int64_t> steps;
  for (const CheckpointEntry& entry : list_checkpoints(directory)) {
    steps.push_back(entry.step);
  }
  return steps;
}

bool is_whole(const std::filesystem::path& path) {
  try {
    const Checkpoint checkpoint(path);
    return true;
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr(path.string()), testing::Not(HasSubstr("\n"))));
    return false;
  }
}

TEST(Checkpoints, RoundTrip) {
  const TempDir dir;
  const std::filesystem::path path = save(dir / "run/checkpoints", 10);
  EXPECT_EQ(path, dir / "run/checkpoints" / kSave1Step10);
  Checkpoint opened(path);
  const Checkpoint checkpoint = std::move(opened);
  EXPECT_EQ(checkpoint.step(), 10);
  EXPECT_EQ(checkpoint.path(), path);
  EXPECT_TRUE(checkpoint.has("counts"));
  EXPECT_EQ(checkpoint.tensor("counts").bytes, 12);
  expect_whole(checkpoint);
}

TEST(Checkpoints, StateComesBackExactly) {
  const TempDir dir;
  const json state{{"seed", std::numeric_limits<std::uint64_t>::max()},
                   {"offset", std::numeric_limits<std::int64_t>::min()},
                   {"lr", 0.1 + 0.2},
                   {"best", std::numeric_limits<double>::denorm_min()},
                   {"vocabulary", "\u00e9\n\"\\\u4e16"},
                   {"nothing", nullptr},
                   {"list", {1, 2, {{"deep", true}}}}};
  EXPECT_EQ(Checkpoint(save_checkpoint(dir.path(), 0, state, {}, 1)).state(), state);
  EXPECT_THAT([&] { save_checkpoint(dir.path(), 1, json("\xff"), {}, 1); },
              ThrowsMessage<DataError>(HasSubstr("UTF-8")));
}

TEST(Checkpoints, AreSafetensorsFiles) {
  const TempDir dir;
  const SafetensorsFile file(save(dir.path(), 10));
  EXPECT_EQ(file.tensor("model/wte.weight").shape, (std::vector<std::int64_t>{5}));
}

TEST(Checkpoints, TheLastOnesStay) {
  const TempDir dir;
  for (const std::int64_t step : {10, 20, 30, 40}) {
    save(dir.path(), step, 3);
  }
  EXPECT_THAT(steps_in(dir.path()), ElementsAre(40, 30, 20));
  save(dir.path(), 50, 1);
  EXPECT_THAT(steps_in(dir.path()), ElementsAre(50));
}

TEST(Checkpoints, StayWhileSomebodyOpensOne) {
  const TempDir dir;
  save(dir.path(), 10, 1);
  {
    const data::FolderLock reader = data::FolderLock::together(dir.path());
    save(dir.path(), 20, 1);
    save(dir.path(), 30, 1);
    EXPECT_THAT(steps_in(dir.path()), ElementsAre(30, 20, 10));
  }
  save(dir.path(), 40, 1);
  EXPECT_THAT(steps_in(dir.path()), ElementsAre(40));
}

TEST(Checkpoints, ThatAreOpenCanBeReadToTheirEnd) {
  const TempDir dir;
  save(dir.path(), 10, 1);
  const LatestCheckpoint latest = open_latest_checkpoint(dir.path());
  save(dir.path(), 20, 1);
  EXPECT_THAT(steps_in(dir.path()), ElementsAre(20));
  expect_whole(*latest.checkpoint);
}

TEST(Checkpoints, TheNewestIsTheOneSavedLastAlsoWhenARunWentBack) {
  const TempDir dir;
  save(dir.path(), 1000);
  save(dir.path(), 2000);
  save(dir.path(), 100);
  EXPECT_THAT(steps_in(dir.path()), ElementsAre(100, 2000));
  EXPECT_EQ(open_latest_checkpoint(dir.path()).checkpoint->step(), 100);
}

TEST(Checkpoints, NoneIsNoError) {
  const TempDir dir;
  EXPECT_FALSE(open_latest_checkpoint(dir.path()).checkpoint);
  EXPECT_FALSE(open_latest_checkpoint(dir / "none").checkpoint);
}

TEST(Checkpoints, ACorruptNewestIsSkippedWithAWarning) {
  const TempDir dir;
  save(dir.path(), 10);
  const std::filesystem::path newest = save(dir.path(), 20);
  std::filesystem::resize_file(newest, std::filesystem::file_size(newest) - 1);
  const LatestCheckpoint latest = open_latest_checkpoint(dir.path());
  EXPECT_EQ(latest.checkpoint->step(), 10);
  EXPECT_THAT(latest.warnings, ElementsAre(HasSubstr(newest.string())));
  expect_whole(*latest.checkpoint);
}

TEST(Checkpoints, ACorruptOneTakesNoPlaceOfAWholeOne) {
  const TempDir dir;
  save(dir.path(), 10);
  save(dir.path(), 20, 3);
  const std::filesystem::path newest = save(dir.path(), 30, 3);
  std::filesystem::resize_file(newest, std::filesystem::file_size(newest) - 1);
  const LatestCheckpoint latest = open_latest_checkpoint(dir.path());
  EXPECT_THAT(latest.not_whole, ElementsAre(newest));
  save_checkpoint(dir.path(), 40, json{{"sampler", 40}}, Weights(40).tensors(), 2, latest.not_whole);
  EXPECT_THAT(steps_in(dir.path()), ElementsAre(40, 20));
}

// Random order drew other rows then, so that going on would show some tokens twice.
TEST(Checkpoints, OfTheFormerVersionAreRefusedAndNotTakenForCorrupt) {
  const TempDir dir;
  save(dir.path(), 5);
  const std::filesystem::path path = save(dir.path(), 10);
  std::string bytes = dir.read(path.filename().string());
  const std::string key = R"(\"version\":)";
  bytes.at(bytes.find(key) + key.size()) = '1';
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  header_bytes += sizeof header_bytes;
  const std::uint64_t sum = data::checksum(std::as_bytes(std::span(bytes)).first(header_bytes));
  std::memcpy(bytes.data() + bytes.size() - kTableBytes, &sum, sizeof sum);
  dir.write(path.filename().string(), bytes);
  EXPECT_THAT([&] { open_latest_checkpoint(dir.path()); },
              ThrowsMessage<Error>(HasSubstr(path.string() + ": version: expected 2, got 1")));
}

TEST(Checkpoints, NoneThatIsWholeIsAnError) {
  const TempDir dir;
  dir.write(save(dir.path(), 10).filename().string(), "");
  dir.write(save(dir.path(), 20).filename().string(), "not a checkpoint");
  EXPECT_THAT([&] { open_latest_checkpoint(dir.path()); },
              ThrowsMessage<DataError>(
                  AllOf(HasSubstr("none of the 2 checkpoints is whole"), HasSubstr("step-00000020.safetensors"))));
}

TEST(Checkpoints, EveryTruncationIsDetected) {
  const TempDir dir;
  const std::filesystem::path path = save(dir.path(), 10);
  const std::string whole = dir.read(kSave1Step10);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    dir.write(kSave1Step10, whole.substr(0, length));
    EXPECT_FALSE(is_whole(path)) << length;
  }
  dir.write(kSave1Step10, whole + "x");
  EXPECT_FALSE(is_whole(path));
  dir.write(kSave1Step10, whole);
  EXPECT_TRUE(is_whole(path));
}

TEST(Checkpoints, EveryFlippedBitIsDetected) {
  const TempDir dir;
  const std::filesystem::path path = save(dir.path(), 10);
  std::string bytes = dir.read(kSave1Step10);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    const auto mask = static_cast<char>(1 << (bit % 8));
    bytes[bit / 8] ^= mask;
    dir.write(kSave1Step10, bytes);
    EXPECT_FALSE(is_whole(path)) << "byte " << bit / 8 << ", bit " << bit % 8;
    bytes[bit / 8] ^= mask;
  }
}

TEST(Checkpoints, SaysWhichTensorIsCorrupt) {
  const TempDir dir;
  const std::filesystem::path path = save(dir.path(), 10);
  std::string bytes = dir.read(kSave1Step10);
  bytes[bytes.size() - kTableBytes - 1] ^= 1;
  dir.write(kSave1Step10, bytes);
  EXPECT_THAT(
      [&] { const Checkpoint checkpoint(path); },
      ThrowsMessage<DataError>(AllOf(HasSubstr(path.string() + ": counts: expected checksum"), HasSubstr("corrupt"))));
}

TEST(Checkpoints, AnotherSafetensorsFileIsNone) {
  const TempDir dir;
  write_safetensors(dir / "a", Weights(1).tensors());
  EXPECT_THAT([&] { const Checkpoint checkpoint(dir / "a"); },
              ThrowsMessage<DataError>(HasSubstr("expected a checkpoint of Retape")));
}

TEST(Checkpoints, RefuseImpossibleRequests) {
  const TempDir dir;
  EXPECT_THAT([&] { save(dir.path(), -1); }, ThrowsMessage<DataError>(HasSubstr("expected at least 0, got -1")));
  EXPECT_THAT([&] { save(dir.path(), 1'125'899'906'842'625); },
              ThrowsMessage<DataError>(HasSubstr("expected at most")));
  EXPECT_THAT([&] { save(dir.path(), 1, 0); }, ThrowsMessage<DataError>(HasSubstr("expected at least 1, got 0")));
  const NamedBytes taken{.name = "__checksums__", .dtype = "U8", .shape = {0}, .bytes = {}};
  EXPECT_THAT([&] { save_checkpoint(dir.path(), 1, json(), std::span(&taken, 1), 1); },
              ThrowsMessage<DataError>(HasSubstr("the name is taken")));
  EXPECT_EQ(dir.files(), 0U);
}

TEST(Checkpoints, AFolderThatCannotBeMadeIsOneClearLine) {
  const TempDir dir;
  const std::filesystem::path blocked = dir.write("file", "not a folder") / "checkpoints";
  EXPECT_THAT([&] { save(blocked, 1); },
              ThrowsMessage<DataError>(testing::StrEq(
                  fmt::format("[checkpoint] {}: cannot make the folder: Not a directory", blocked.string()))));
}

TEST(Checkpoints, AFolderThatCannotBeUsedIsFoundBeforeTheFirstSave) {
  const TempDir dir;
  const std::filesystem::path blocked = dir.write("file", "not a folder");
  EXPECT_THAT([&] { probe_checkpoint_directory(blocked); },
              ThrowsMessage<DataError>(AllOf(HasSubstr(blocked.string()), HasSubstr("Not a directory"))));
  const std::filesystem::path usable = dir / "run/checkpoints";
  dir.write("run/checkpoints/save-000001-step-00000008.safetensors.retape-tmp.123.0", "half");
  probe_checkpoint_directory(usable);
  EXPECT_TRUE(std::filesystem::is_empty(usable));
  if (::geteuid() != 0) {  // whom permissions do not stop
    std::filesystem::permissions(usable, std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
    EXPECT_THAT([&] { probe_checkpoint_directory(usable); },
                ThrowsMessage<DataError>(AllOf(HasSubstr(usable.string()), HasSubstr("Permission denied"))));
    std::filesystem::permissions(usable, std::filesystem::perms::owner_all);
  }
}

TEST(Checkpoints, AFullDiskLeavesTheEarlierOnesWhole) {
  const TempDir dir;
  constexpr std::size_t kLargeElems = 100'000;
  save(dir.path(), 10);
  save(dir.path(), 20);
  {
    const FileSizeLimit limit(65'536);
    EXPECT_THAT([&] { save(dir.path(), 30, 2, kLargeElems); },
                ThrowsMessage<DataError>(AllOf(HasSubstr("step-00000030"), HasSubstr("File too large"))));
  }
  EXPECT_EQ(dir.files(), 2U);
  const LatestCheckpoint latest = open_latest_checkpoint(dir.path());
  EXPECT_THAT(latest.warnings, IsEmpty());
  EXPECT_EQ(latest.checkpoint->step(), 20);
  expect_whole(*latest.checkpoint);
  save(dir.path(), 30, 2, kLargeElems);
  EXPECT_EQ(open_latest_checkpoint(dir.path()).checkpoint->step(), 30);
}

// A number that this process and its children share.
class SharedStep {
 public:
  SharedStep()
      : memory_(::mmap(nullptr, sizeof(Step), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)),
        step_(new (memory_) Step(0)) {}
  ~SharedStep() { ::munmap(memory_, sizeof(Step)); }
  SharedStep(const SharedStep&) = delete;
  SharedStep& operator=(const SharedStep&) = delete;

  void set(std::int64_t step) { step_->store(step); }
  std::int64_t get() const { return step_->load(); }

 private:
  using Step = std::atomic<std::int64_t>;
  void* memory_;
  Step* step_;
};

constexpr std::size_t kKilledElems = 200'000;
constexpr std::int64_t kKilledKeepLast = 2;

// noexcept: an error of the child must end it, not walk up into its copy of the tests.
[[noreturn]] void save_for_ever(const std::filesystem::path& directory, SharedStep& saved) noexcept {
  for (std::int64_t step = saved.get() + 1;; ++step) {
    save(directory, step, kKilledKeepLast, kKilledElems);
    saved.set(step);
  }
}

TEST(Checkpoints, KilledAtAnyMomentTheNextStartFindsAWholeOne) {
  constexpr int kRounds = 40;
  const TempDir dir;
  SharedStep saved;  // the last step whose save returned
  std::mt19937 random(1);
  for (int round = 0; round < kRounds; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      save_for_ever(dir.path(), saved);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 30'000));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

    const LatestCheckpoint latest = open_latest_checkpoint(dir.path());
    EXPECT_THAT(latest.warnings, IsEmpty());
    const std::int64_t found = latest.checkpoint ? latest.checkpoint->step() : 0;
    // A save that was killed after its rename is there, though it did not return.
    EXPECT_TRUE(found == saved.get() || found == saved.get() + 1) << found << ", saved " << saved.get();
    if (latest.checkpoint) {
      expect_whole(*latest.checkpoint, kKilledElems);
    }
    saved.set(found);
  }
  EXPECT_GT(saved.get(), 0);
  save(dir.path(), saved.get() + 1, kKilledKeepLast, kKilledElems);
  EXPECT_EQ(dir.files(), static_cast<std::size_t>(kKilledKeepLast)) << "a killed save's temporary file is still there";
}

}  // namespace
}  // namespace retape::trainer
