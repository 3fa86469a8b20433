// Data that changes: between two starts of a run, and under it.
#include <fstream>

#include "tests/integration/training_case.h"
#include "trainer/checkpoint_files.h"

namespace retape::integration {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::uint16_t> tokens(std::size_t count, std::uint16_t first) {
  std::vector<std::uint16_t> ids(count);
  for (std::size_t i = 0; i < count; ++i) {
    ids[i] = static_cast<std::uint16_t>((first + i * i) % 256);
  }
  return ids;
}

// A run of two steps on two token files, and another file to validate on.
class ChangedData : public TrainingCase {
 protected:
  ChangedData() {
    folder().write("a.bin", tokens(1000, 1));
    folder().write("b.bin", tokens(1000, 2));
    folder().write("v.bin", tokens(500, 3));
    train("run", data() + Settings{"train.steps=2"});
  }

  Settings data() const {
    return {"data.train=" + path("[ab].bin").string(), "data.val=" + path("v.bin").string(), "model.vocab=256",
            "optimizer.schedule=constant"};
  }

  // Refused in one line with these texts, where nothing has been trained; with data.allow_change it is said instead.
  void expect_change(const std::vector<std::string>& texts, const Settings& more = {}) const {
    const Settings again = settings("run") + data() + Settings{"train.steps=4"} + more;
    const Exit refused = run_trainer(arguments("", again));
    EXPECT_EQ(refused.status, 1);
    ASSERT_EQ(lines_of(refused.err).size(), 1U) << refused.err;
    const Exit allowed = run_trainer(arguments("", again + Settings{"data.allow_change=true"}));
    EXPECT_TRUE(allowed.ok()) << allowed.err;
    EXPECT_THAT(allowed.err, IsEmpty());
    for (const std::string& text : texts) {
      EXPECT_THAT(refused.err, HasSubstr(text));
      EXPECT_THAT(lines_of(allowed.out), Contains(AllOf(testing::StartsWith("data.allow_change: "), HasSubstr(text))));
    }
    EXPECT_THAT(refused.err, HasSubstr("data.allow_change"));
    EXPECT_EQ(metrics("run").size(), 4U + 3U) << "steps and evaluations, of the runs that were not refused";
    // What it goes on with is what it was trained on.
    EXPECT_THAT(train("run", data() + Settings{"train.steps=4"} + more).out, Not(HasSubstr("allow_change")));
  }
};

TEST_F(ChangedData, IsNothingToSayWhereItIsTheSame) {
  const Exit resumed = train("run", data() + Settings{"train.steps=4"});
  EXPECT_THAT(resumed.out, AllOf(HasSubstr("goes on after step 2"), Not(HasSubstr("content")), Not(HasSubstr("length")),
                                 Not(HasSubstr("does not say"))));
}

TEST_F(ChangedData, AFileThatHasGrownIsRefused) {
  folder().write("b.bin", tokens(1001, 2));
  expect_change({path("b.bin").string() + ": length", "1000", "1001"});
}

TEST_F(ChangedData, AFileThatHasShrunkIsRefused) {
  std::filesystem::resize_file(path("a.bin"), 1998);
  expect_change({path("a.bin").string() + ": length", "1000", "999"});
}

TEST_F(ChangedData, OtherTokensOfTheSameLengthAreRefused) {
  auto ids = tokens(1000, 2);
  ids[777] ^= 1;
  folder().write("b.bin", ids);
  expect_change({path("b.bin").string() + ": content", "1000 tokens"});
}

TEST_F(ChangedData, OtherTokensToValidateOnAreRefused) {
  folder().write("v.bin", tokens(500, 4));
  expect_change({path("v.bin").string() + ": content"});
}

TEST_F(ChangedData, AFileMoreIsRefused) {
  folder().write("c.bin", tokens(100, 5));
  expect_change({path("c.bin").string() + ": length", "100 tokens more"}, {"data.train=" + path("[abc].bin").string()});
}

TEST_F(ChangedData, AFileLessIsRefused) {
  std::filesystem::remove(path("b.bin"));
  expect_change({path("b.bin").string() + ": length", "without it"});
}

TEST_F(ChangedData, OtherTextIsRefused) {
  train("text", {"train.steps=2", "optimizer.schedule=constant"});
  const Settings again = settings("text") + Settings{"train.steps=4", "optimizer.schedule=constant"};
  const std::string text = bytes_of(path("text.txt"));
  folder().write("text.txt", text + "more");
  const Exit refused = run_trainer(arguments("", again));
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("text.txt: length"), HasSubstr("6000"), HasSubstr("6004")));
  // Also in the end of it, which is validation data.
  folder().write("text.txt", text.substr(0, text.size() - 1) + "?");
  EXPECT_THAT(run_trainer(arguments("", again)).err, HasSubstr("text.txt: content"));
  folder().write("text.txt", text);
  EXPECT_TRUE(run_trainer(arguments("", again)).ok());
}

TEST_F(ChangedData, FilesMayMove) {
  std::filesystem::create_directory(path("moved"));
  for (const char* name : {"a.bin", "b.bin", "v.bin"}) {
    std::filesystem::rename(path(name), path("moved") / name);
  }
  const Exit resumed = train("run", data() + Settings{"train.steps=4", "data.train=" + path("moved/[ab].bin").string(),
                                                      "data.val=" + path("moved/v.bin").string()});
  EXPECT_THAT(resumed.out, HasSubstr("changed since it was saved: data.train"));
}

// Weights are evaluated on any tokens.
TEST_F(ChangedData, IsNoMatterWhereNothingIsTrained) {
  folder().write("a.bin", tokens(900, 9));
  folder().write("v.bin", tokens(500, 4));
  const Exit evaluated = run_trainer(arguments("eval", settings("run") + data()));
  EXPECT_TRUE(evaluated.ok()) << evaluated.err;
  EXPECT_TRUE(run_trainer(arguments("plan", settings("run") + data())).ok());
}

// --- Under the run -------------------------------------------------------------------------------------------------

class DataUnderARun : public ChangedData {
 protected:
  // Changes a file while a run is at work; returns how it ends.
  template <class Change>
  Exit end_of_run(const Settings& more, const Change& change) const {
    const Settings endless = settings("run") + data() + Settings{"train.steps=100000", "train.save_every=1"} + more;
    TrainerProcess process(arguments("", endless));
    EXPECT_TRUE(wait_until(process, [&] { return rows_so_far("run") >= 8; }));
    change();
    return process.wait();
  }

  void expect_our_error(const Exit& exit, const std::vector<std::string>& texts) const {
    EXPECT_EQ(exit.signal, 0);
    EXPECT_EQ(exit.status, 1);
    ASSERT_EQ(lines_of(exit.err).size(), 1U) << exit.err;
    const auto newest = trainer::list_checkpoints(checkpoints("run")).front();
    EXPECT_THAT(exit.err, AllOf(testing::StartsWith("error: "),
                                HasSubstr("; the last good checkpoint is " + newest.path.string())));
    for (const std::string& text : texts) {
      EXPECT_THAT(exit.err, HasSubstr(text));
    }
    EXPECT_THAT(newest_checkpoint("run").at("step"), Not(IsEmpty()));
  }
};

TEST_F(DataUnderARun, ThatShrinksEndsItWithTheLastGoodCheckpoint) {
  const Exit exit = end_of_run({}, [&] { std::filesystem::resize_file(path("a.bin"), 100); });
  expect_our_error(exit, {path("a.bin").string(), "expected 2000 bytes", "found 100"});
}

// The weights that a step starts from are not to blame for what it reads: their checkpoint is good. A step of so many
// micro-steps is nearly always met while it reads.
TEST_F(DataUnderARun, ThatShrinksWithinAStepLeavesTheCheckpointBeforeItGood) {
  const Settings endless{"train.steps=100000", "train.save_every=1", "train.eval_every=0", "train.grad_accum=50"};
  TrainerProcess process(arguments("", settings("run") + data() + endless));
  EXPECT_TRUE(wait_until(process, [&] { return trainer::list_checkpoints(checkpoints("run")).front().step > 2; }));
  std::filesystem::resize_file(path("a.bin"), 100);
  expect_our_error(process.wait(), {path("a.bin").string(), "expected 2000 bytes", "found 100"});
}

TEST_F(DataUnderARun, ToValidateOnThatShrinksDoesToo) {
  const Exit exit = end_of_run({}, [&] { std::filesystem::resize_file(path("v.bin"), 100); });
  expect_our_error(exit, {path("v.bin").string(), "expected 1000 bytes", "found 100"});
}

TEST_F(DataUnderARun, WithIdsOutsideTheTableEndsItToo) {
  const Exit exit = end_of_run({}, [&] {
    std::fstream file(path("a.bin"), std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes(2000, '\x7f');
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  });
  expect_our_error(exit, {path("a.bin").string() + ": token ", "vocabulary size 256", "got 32639"});
}

}  // namespace
}  // namespace retape::integration
