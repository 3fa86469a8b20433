// The same configuration gives the same bits, however often a run was stopped on the way.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <random>
#include <sstream>

#include "tests/integration/training_case.h"
#include "trainer/checkpoint_files.h"

namespace retape::integration {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class Bits : public TrainingCase, public testing::WithParamInterface<const char*> {
 protected:
  Settings dtype() const { return {std::string("model.dtype=") + GetParam()}; }

  // Steps slow and numerous enough that a signal finds the run in the middle of them.
  Settings long_run() const {
    return dtype() + Settings{"train.steps=150", "train.eval_every=40", "train.batch_size=8", "train.grad_accum=3"};
  }

  // Starts a run and sends it the signal once it has trained some steps.
  Exit interrupt(const std::string& run, const Settings& more, int signal) const {
    TrainerProcess process(arguments("", settings(run) + more));
    EXPECT_TRUE(wait_until(process, [&] { return rows_so_far(run) >= 5; }));
    process.send(signal);
    return process.wait();
  }
};

INSTANTIATE_TEST_SUITE_P(DTypes, Bits, testing::Values("f32", "bf16"), [](const auto& info) { return info.param; });

TEST_P(Bits, AreTheSameInEveryRun) {
  train("one", dtype());
  train("two", dtype());
  expect_same_bits("one", "two");
  const std::vector<nlohmann::json> rows = metrics("one");
  ASSERT_THAT(rows, SizeIs(8 + 3));  // steps 3 and 6, and the last, are evaluated too
  EXPECT_TRUE(rows.front().contains("grad_hash"));
  EXPECT_TRUE(rows.back().contains("val_loss"));
  EXPECT_NE(rows[0].at("grad_hash"), rows[1].at("grad_hash"));
}

TEST_P(Bits, DependOnTheSeed) {
  train("one", dtype());
  train("two", dtype() + Settings{"run.seed=2"});
  EXPECT_NE(metrics("one").front().at("grad_hash"), metrics("two").front().at("grad_hash"));
}

TEST_P(Bits, SurviveAStopBySignal) {
  train("whole", long_run());
  for (const int signal : {SIGTERM, SIGINT}) {
    const std::string run = signal == SIGTERM ? "terminated" : "interrupted";
    const Exit stopped = interrupt(run, long_run(), signal);
    EXPECT_EQ(stopped.status, 128 + signal) << stopped.err;
    EXPECT_THAT(stopped.err, IsEmpty());
    EXPECT_THAT(lines_of(stopped.out), testing::Contains(HasSubstr("stops after this step")));
    EXPECT_THAT(lines_of(stopped.out).back(),
                AllOf(HasSubstr("saved after step"), HasSubstr("; the same command goes")));
    const auto saved = trainer::open_latest_checkpoint(checkpoints(run)).checkpoint;
    ASSERT_TRUE(saved.has_value());
    EXPECT_LT(saved->step(), 150);

    const Exit resumed = train(run, long_run());
    EXPECT_THAT(resumed.out, HasSubstr("goes on after step " + std::to_string(saved->step())));
    EXPECT_THAT(resumed.out, Not(HasSubstr("changed since")));
    expect_same_bits("whole", run);
  }
}

// The evaluation takes long, and is all that is left when the signal comes.
TEST_P(Bits, SurviveAStopInAnEvaluation) {
  const std::string text = bytes_of(path("text.txt"));
  std::string long_text;
  for (int i = 0; i < 10; ++i) {
    long_text += text;
  }
  const Settings all = dtype() + Settings{"train.steps=3", "train.eval_batches=0",
                                          "data.val=" + folder().write("long.txt", long_text).string()};
  train("whole", all);
  TrainerProcess process(arguments("", settings("stopped") + all));
  ASSERT_TRUE(wait_until(process, [&] { return rows_so_far("stopped") == 3; }));
  process.send(SIGTERM);
  EXPECT_EQ(process.wait().status, 128 + SIGTERM);
  EXPECT_THAT(metrics("stopped"), SizeIs(3));
  EXPECT_TRUE(trainer::open_latest_checkpoint(checkpoints("stopped")).checkpoint->state().at("evaluation_due"));

  // Where there is nothing to validate on any more, or nobody wants it, it is left out as later ones are.
  const std::string due = trainer::list_checkpoints(checkpoints("stopped")).front().path.string();
  for (const char* without : {"data.val_fraction=0", "data.val_fraction=0.1"}) {
    train(without, dtype() + Settings{"train.steps=3", "train.resume=" + due, "train.eval_every=0", without});
    EXPECT_THAT(all_of_metrics(without), IsEmpty());
  }

  train("stopped", all);
  expect_same_bits("whole", "stopped");
  train("stopped", all);
  EXPECT_THAT(metrics("stopped"), SizeIs(4));
}

// The table that a stopped run ends with averages over the steps that it took, not over those that it was to take.
TEST_P(Bits, ShowTheProfileOfTheStepsUntilAStop) {
  const Exit stopped = interrupt(
      "stopped", long_run() + Settings{"activation_checkpointing.policy=full", "activation_checkpointing.profile=true"},
      SIGTERM);
  double forward_ms = 0;
  int steps = 0;
  for (const nlohmann::json& row : all_of_metrics("stopped")) {
    if (row.contains("profile")) {
      forward_ms += row["profile"]["forward_ms"].get<double>();
      ++steps;
    }
  }
  ASSERT_GE(steps, 5);
  ASSERT_LT(steps, 150);
  const std::vector<std::string> lines = lines_of(stopped.out);
  const auto last =
      std::find_if(lines.rbegin(), lines.rend(), [](const auto& line) { return line.starts_with("total"); });
  ASSERT_NE(last, lines.rend()) << stopped.out;
  std::istringstream total(*last);
  std::string name;
  double shown_ms = 0;
  total >> name >> shown_ms;
  EXPECT_EQ(name, "total");
  EXPECT_NEAR(shown_ms, forward_ms / steps, 0.001);
}

TEST_P(Bits, SurviveAKillBetweenSaves) {
  train("whole", long_run());
  const Exit killed = interrupt("killed", long_run() + Settings{"train.save_every=4"}, SIGKILL);
  EXPECT_EQ(killed.signal, SIGKILL);
  // Rows beyond the checkpoint, and one that the kill cut short, are written again.
  std::ofstream(out_dir("killed") / "metrics.jsonl", std::ios::app) << R"({"step": 99, "lo)";
  train("killed", long_run());
  expect_same_bits("whole", "killed");
}

// Bounded: each round goes on from where the last was killed, or a little before.
TEST_P(Bits, SurviveKillsAtAnyMoment) {
  constexpr int kRounds = 14;
  const Settings saving = dtype() + Settings{"train.steps=150", "train.eval_every=40", "train.save_every=1"};
  train("whole", saving);
  std::mt19937 random(std::string_view(GetParam()) == "f32" ? 1 : 2);
  const auto up_to = [&random](int microseconds) {
    return std::chrono::microseconds(std::uniform_int_distribution<int>(0, microseconds)(random));
  };
  const auto saves = [this] {
    const auto entries = trainer::list_checkpoints(checkpoints("killed"));
    return entries.empty() ? 0 : entries.front().save;
  };
  std::int64_t furthest = 0;
  int kills = 0;
  for (int round = 0; round < kRounds; ++round) {
    const std::int64_t before = saves();
    TrainerProcess process(arguments("", settings("killed") + saving));
    if (round % 2 == 0) {  // among the saves
      wait_until(process, [&] { return saves() > before; });
      pause(up_to(20'000));
    } else {  // at the start, or soon after it
      pause(up_to(200'000));
    }
    process.send(SIGKILL);
    const Exit exit = process.wait();
    EXPECT_TRUE(exit.signal == SIGKILL || exit.ok()) << exit.err;
    EXPECT_THAT(exit.err, IsEmpty());
    kills += exit.signal == SIGKILL ? 1 : 0;

    const trainer::LatestCheckpoint latest = trainer::open_latest_checkpoint(checkpoints("killed"));
    EXPECT_THAT(latest.warnings, IsEmpty());
    ASSERT_TRUE(latest.checkpoint.has_value());
    EXPECT_GE(latest.checkpoint->step(), furthest);
    furthest = latest.checkpoint->step();
  }
  EXPECT_GE(kills, 3);
  train("killed", saving);
  expect_same_bits("whole", "killed");
  for (const auto& file : std::filesystem::recursive_directory_iterator(out_dir("killed"))) {
    EXPECT_THAT(file.path().filename().string(), Not(HasSubstr("tmp."))) << "left behind";
  }
}

using Resuming = TrainingCase;

TEST_F(Resuming, TakesTheOlderCheckpointWhereTheNewestIsCorrupt) {
  train("whole");
  train("damaged", {"train.save_every=3"});
  const auto saved = trainer::list_checkpoints(checkpoints("damaged"));
  ASSERT_THAT(saved, SizeIs(2));
  EXPECT_EQ(saved.back().step, 6);
  corrupt(saved.front().path);
  const Exit resumed = train("damaged");
  const std::vector<std::string> lines = lines_of(resumed.err);
  ASSERT_THAT(lines, ElementsAre(AllOf(HasSubstr("warning: [checkpoint]"), HasSubstr(saved.front().path.string()),
                                       HasSubstr("expected checksum"), HasSubstr("got"))));
  EXPECT_THAT(resumed.out, HasSubstr("goes on after step 6"));
  expect_same_bits("whole", "damaged");
  const auto left = trainer::list_checkpoints(checkpoints("damaged"));
  ASSERT_THAT(left, SizeIs(2));
  EXPECT_EQ(left.back().path, saved.back().path) << "the corrupt one has taken the place of a whole one";
}

TEST_F(Resuming, GoesOnFromANamedCheckpoint) {
  train("whole", {"train.save_every=3", "train.keep_last=9"});
  const auto saved = trainer::list_checkpoints(checkpoints("whole"));
  ASSERT_THAT(saved, SizeIs(3));
  const Exit resumed = train("branch", {"train.resume=" + saved.back().path.string()});
  EXPECT_THAT(resumed.out, HasSubstr("goes on after step 3"));
  EXPECT_EQ(newest_checkpoint("whole"), newest_checkpoint("branch"));
}

TEST_F(Resuming, SaysWhichCommandGoesOn) {
  for (const std::string resume : {"never", "path"}) {
    const Settings start = settings(resume) + Settings{"train.steps=100000", "train.eval_every=0"};
    train(resume, {"train.steps=2"});
    const std::string earlier = trainer::list_checkpoints(checkpoints(resume)).front().path.string();
    TrainerProcess process(arguments("", start + Settings{"train.resume=" + (resume == "path" ? earlier : resume)}));
    ASSERT_TRUE(wait_until(process, [&] { return rows_so_far(resume) >= 6; }));
    process.send(SIGINT);
    const Exit stopped = process.wait();
    EXPECT_EQ(stopped.status, 128 + SIGINT) << stopped.err;
    const std::string saved = trainer::list_checkpoints(checkpoints(resume)).front().path.string();
    EXPECT_THAT(lines_of(stopped.out).back(), HasSubstr("; train.resume=" + saved + " goes on from there"));
  }
}

TEST_F(Resuming, SaysWhichSettingsHaveChanged) {
  train("run", {"train.steps=2", "optimizer.schedule=constant"});
  const Settings more{"optimizer.schedule=constant", "optimizer.lr=0.002", "train.batch_size=2", "run.log_every=1",
                      "train.save_every=3"};
  const Exit resumed = train("run", more);
  EXPECT_THAT(lines_of(resumed.out), testing::Contains("changed since it was saved: train.batch_size: 4 -> 2, "
                                                       "optimizer.lr: 0.001 -> 0.002"));
  EXPECT_THAT(resumed.err, IsEmpty());
}

TEST_F(Resuming, SaysThatTheCosineEndsElsewhere) {
  train("run", {"train.steps=2"});
  const Exit resumed = train("run");
  EXPECT_THAT(lines_of(resumed.out), testing::Contains("changed since it was saved: train.steps: 2 -> 8"));
}

TEST_F(Resuming, CountsTokensAlsoWhenTheBatchChanges) {
  const Settings more{"train.eval_every=0", "optimizer.schedule=constant"};
  train("run", more + Settings{"train.steps=2"});
  train("run", more + Settings{"train.steps=4", "train.batch_size=2"});
  std::vector<std::int64_t> tokens;
  for (const nlohmann::json& row : metrics("run")) {
    tokens.push_back(row.at("tokens").get<std::int64_t>());
  }
  EXPECT_THAT(tokens, ElementsAre(128, 256, 320, 384));
}

// A removed file gives its place on the disk back only when nobody maps it.
TEST_F(Resuming, LetsGoOfTheCheckpoint) {
  train("run", {"train.steps=2", "train.eval_every=0"});
  TrainerProcess process(arguments("", settings("run") + Settings{"train.steps=100000", "train.eval_every=0"}));
  ASSERT_TRUE(wait_until(process, [&] { return rows_so_far("run") >= 3; }));
  const std::string holder = lines_of(bytes_of(out_dir("run") / ".retape.lock")).at(0);
  EXPECT_THAT(bytes_of("/proc/" + holder + "/maps"), AllOf(HasSubstr("trainer"), Not(HasSubstr(".safetensors"))));
}

// There is nothing to save before the first step.
TEST_F(Resuming, ASignalThatComesWhileTextIsEncodedEndsTheProgramAtOnce) {
  const std::string text = bytes_of(path("text.txt"));
  std::string long_text;
  for (int i = 0; i < 5000; ++i) {
    long_text += text;
  }
  const std::string file = folder().write("long.txt", long_text).string();
  TrainerProcess process(arguments("", settings("run") + Settings{"data.train=" + file, "data.tokenizer=char"}));
  pause(std::chrono::milliseconds(50));
  process.send(SIGINT);
  EXPECT_EQ(process.wait().signal, SIGINT);
  EXPECT_FALSE(std::filesystem::exists(out_dir("run")));
}

TEST_F(Resuming, OfAFinishedRunChangesNothing) {
  train("run");
  const CheckpointContents before = newest_checkpoint("run");
  const std::string rows = bytes_of(out_dir("run") / "metrics.jsonl");
  train("run");
  EXPECT_EQ(newest_checkpoint("run"), before);
  EXPECT_EQ(bytes_of(out_dir("run") / "metrics.jsonl"), rows);
}

TEST_F(Resuming, CanBeRefused) {
  train("run", {"train.steps=3"});
  const Exit again = train("run", {"train.steps=3", "train.resume=never"});
  EXPECT_THAT(again.out, Not(HasSubstr("goes on")));
  train("once", {"train.steps=3"});
  expect_same_bits("once", "run");
}

TEST_F(Resuming, RemovesWhatKilledSavesLeft) {
  const std::string save = "run/checkpoints/save-000001-step-00000008.safetensors";
  const std::string earlier_version = save + ".tmp.123.0";
  for (const std::string& name :
       {std::string("run/metrics.jsonl.retape-tmp.123.0"), save + ".retape-tmp.123.0", earlier_version}) {
    folder().write(name, "half");
  }
  const Exit exit = train("run");
  EXPECT_THAT(exit.err, IsEmpty());
  for (const auto& file : std::filesystem::recursive_directory_iterator(out_dir("run"))) {
    EXPECT_THAT(file.path().filename().string(), Not(HasSubstr("tmp."))) << "left behind";
  }
}

}  // namespace
}  // namespace retape::integration
