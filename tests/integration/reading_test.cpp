// Whoever reads a run finds a checkpoint, however the run saves and rotates meanwhile.
#include <fstream>

#include "tests/integration/training_case.h"
#include "trainer/checkpoint_files.h"

namespace retape::integration {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

class Reading : public TrainingCase {
 protected:
  // Trains up to a step; each step is saved and takes the place of the last.
  void train_to(int step) const {
    train("run", {"train.steps=" + std::to_string(step), "train.eval_every=0", "train.save_every=1",
                  "train.keep_last=1", "optimizer.schedule=constant"});
  }
  std::vector<trainer::CheckpointEntry> saved() const { return trainer::list_checkpoints(checkpoints("run")); }

  // The command as a process that stands still in opening the first checkpoint, and goes on when it is let.
  class Held {
   public:
    Held(const std::filesystem::path& hold, const std::vector<std::string>& words)
        : go_(hold.string() + ".go"),
          reached_(hold.string() + ".reached"),
          process_(words, {.variables = {"LD_PRELOAD=" RETAPE_CALLS, "RETAPE_CALLS_HOLD=" + hold.string()}}) {
      EXPECT_TRUE(wait_until(process_, [this] { return std::filesystem::exists(reached_); }));
    }
    Exit go_on() {
      std::ofstream(go_).put('\n');
      return process_.wait();
    }

   private:
    std::string go_;
    std::string reached_;
    TrainerProcess process_;
  };
};

// However long it takes to open a file.
TEST_F(Reading, BesideARunThatRotatesFindsWhatItOpens) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer's library comes before every other";
#endif
  train_to(2);
  const std::vector<std::vector<std::string>> commands{
      arguments("eval", settings("run")), arguments("sample", settings("run"), {"--tokens", "3"}),
      arguments("export", settings("run"), {"--output", path("weights.safetensors").string()})};
  int step = 2;
  for (const std::vector<std::string>& command : commands) {
    ASSERT_THAT(saved(), SizeIs(1));
    Held reader(path(command.front()), command);
    train_to(step + 4);
    EXPECT_THAT(saved(), SizeIs(1 + 4)) << "one was let go while it was opened";
    const Exit exit = reader.go_on();
    EXPECT_TRUE(exit.ok()) << exit.err;
    EXPECT_THAT(exit.err, IsEmpty());
    if (command.front() == "eval") {
      EXPECT_THAT(exit.out, HasSubstr("after step 2\n"));
    }
    step += 5;
    train_to(step);
    EXPECT_THAT(saved(), SizeIs(1)) << "what was left for the reader goes with the next save";
  }
}

TEST_F(Reading, HoldsBackARunThatWouldBeMoved) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer's library comes before every other";
#endif
  train_to(2);
  Held reader(path("eval"), arguments("eval", settings("run")));
  const Exit refused = run_trainer(arguments("", settings("run") + Settings{"train.resume=never"}));
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("is being opened by another process"));
  EXPECT_THAT(saved(), SizeIs(1));
  EXPECT_THAT(reader.go_on().out, HasSubstr("after step 2\n"));
}

TEST_F(Reading, FindsNothingButCheckpointsInTheirFolder) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer's library comes before every other";
#endif
  int made = 0;
  for (const std::string& call : calls_of_three_saves()) {
    const std::string place = checkpoints("run").string() + "/";
    if (call.starts_with("create " + place)) {
      EXPECT_THAT(call, StartsWith("create " + place + "save-"));
      ++made;
    }
  }
  EXPECT_GE(made, 3);
}

}  // namespace
}  // namespace retape::integration
