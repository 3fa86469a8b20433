// The metrics of a run have every row once, whatever becomes of their file; what cannot be had is said.
#include <fmt/format.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>

#include "tests/integration/training_case.h"
#include "trainer/checkpoint_files.h"

namespace retape::integration {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

class Metrics : public TrainingCase {
 protected:
  std::filesystem::path file(const std::string& run) const { return out_dir(run) / "metrics.jsonl"; }

  // Of a run that trains until it is stopped.
  Settings endless(const std::string& run) const {
    return settings(run) + Settings{"train.steps=20000", "train.eval_every=0", "optimizer.schedule=constant"};
  }

  // A run that has written some rows.
  TrainerProcess& start(const std::string& run) {
    process_.emplace(arguments("", endless(run)));
    EXPECT_TRUE(wait_until(*process_, [&] { return rows_so_far(run) >= 3; }));
    return *process_;
  }

  static auto warns(const std::string& what) {
    return ElementsAre(AllOf(StartsWith("warning: [metrics] "), HasSubstr("metrics.jsonl"), HasSubstr(what)));
  }

 private:
  std::optional<TrainerProcess> process_;
};

TEST_F(Metrics, SayWhenAndWhichRunWentOn) {
  const double before = static_cast<double>(std::time(nullptr)) - 1;
  train("run", {"train.steps=4"});
  for (const json& row : all_of_metrics("run")) {
    EXPECT_FALSE(row.contains("resumed"));
  }
  train("run");
  const std::vector<json> rows = all_of_metrics("run");
  ASSERT_THAT(rows, SizeIs(8 + 4));  // evaluated after 3, 4, 6 and 8
  std::int64_t next = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    SCOPED_TRACE(rows[i].dump());
    const bool is_first_after_resuming = i == 6;
    EXPECT_EQ(rows[i].contains("resumed"), is_first_after_resuming);
    EXPECT_GE(rows[i].at("time").get<double>(), before);
    EXPECT_LE(rows[i].at("elapsed_s").get<double>(), rows[i].at("time").get<double>() - before) << "since the start";
    EXPECT_GE(rows[i].at("elapsed_s").get<double>(),
              i == 0 || is_first_after_resuming ? 0.0 : rows[i - 1].at("elapsed_s").get<double>());
    EXPECT_EQ(rows[i].at("step"), next) << "updates that the weights had seen";
    next += rows[i].contains("loss") ? 1 : 0;
  }
  EXPECT_EQ(rows[6].at("resumed"), true);
}

// The loss of a step's own batch and of an evaluation of the same tokens, before the first update that counts.
TEST_F(Metrics, OfOneStepNumberAreOfTheSameWeights) {
  train("run", {"train.steps=2", "train.eval_every=1", "optimizer.lr=0", "optimizer.weight_decay=0"});
  train("moved", {"train.steps=2", "train.eval_every=1"});
  const auto evaluation_at = [this](const std::string& run, int step) {
    for (const json& row : all_of_metrics(run)) {
      if (row.contains("val_loss") && row.at("step") == step) {
        return row.at("val_loss").get<double>();
      }
    }
    return 0.0;
  };
  EXPECT_EQ(evaluation_at("run", 1), evaluation_at("run", 2));
  EXPECT_NE(evaluation_at("run", 1), evaluation_at("moved", 1));
}

TEST_F(Metrics, AreOnTheDiskBeforeTheCheckpointHasItsName) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer's library comes before every other";
#endif
  int saves = 0;
  std::string before;
  for (const std::string& call : calls_of_three_saves()) {
    if (call.starts_with("create ")) {
      continue;
    }
    if (call.find("checkpoints/save-") != std::string::npos) {
      EXPECT_EQ(before, "fdatasync " + file("run").string()) << call;
      ++saves;
    }
    before = call;
  }
  EXPECT_EQ(saves, 3);
}

// As after a power loss: the checkpoint is newer than the rows.
TEST_F(Metrics, ThatLackRowsBelowTheCheckpointAreWarnedOfOnce) {
  train("run", {"train.steps=6", "train.eval_every=0"});
  const std::vector<std::string> lines = lines_of(bytes_of(file("run")));
  std::ofstream(file("run")) << lines[0] << "\n" << lines[1] << "\n" << lines[2].substr(0, 20);
  const Exit cut = train("run", {"train.steps=7", "train.eval_every=0", "train.save_every=1"});
  EXPECT_THAT(lines_of(cut.err), warns("no rows of steps 2 to 5 are there"));
  EXPECT_THAT(cut.out, HasSubstr("goes on after step 6"));
  EXPECT_THAT(train("run", {"train.steps=8", "train.eval_every=0"}).err, IsEmpty());

  std::filesystem::remove(file("run"));
  const Exit removed = train("run", {"train.steps=9", "train.eval_every=0"});
  EXPECT_THAT(lines_of(removed.err), warns("no rows of steps 0 to 7 are there"));
  EXPECT_THAT(train("run", {"train.steps=10", "train.eval_every=0"}).err, IsEmpty());
}

// Its rows lie where the checkpoint does.
TEST_F(Metrics, OfABranchBeginWhereItDoes) {
  train("trunk", {"train.steps=3"});
  const std::string saved = trainer::list_checkpoints(checkpoints("trunk")).front().path.string();
  EXPECT_THAT(train("branch", {"train.steps=5", "train.resume=" + saved}).err, IsEmpty());
  EXPECT_THAT(train("branch").err, IsEmpty());
  EXPECT_EQ(metrics("branch").front().at("step"), 3);
}

TEST_F(Metrics, ThatCannotBeReadAreRefusedBeforeTheFirstStep) {
  train("run", {"train.steps=2"});
  const CheckpointContents before = newest_checkpoint("run");
  const auto expect_refused = [&] {
    const Exit exit = run_trainer(arguments("", settings("run")));
    EXPECT_EQ(exit.status, 1);
    EXPECT_THAT(lines_of(exit.err), ElementsAre(AllOf(StartsWith("error: "), HasSubstr("metrics"))));
    EXPECT_THAT(exit.out, Not(HasSubstr("step")));
    EXPECT_EQ(newest_checkpoint("run"), before);
  };
  std::filesystem::remove(file("run"));
  ASSERT_EQ(mkfifo(file("run").c_str(), 0666), 0);
  expect_refused();
  std::filesystem::remove(file("run"));
  std::filesystem::create_directory(file("run"));
  expect_refused();
  std::filesystem::remove(file("run"));
  std::filesystem::create_symlink("metrics.jsonl", file("run"));  // leads nowhere, again and again
  expect_refused();
}

TEST_F(Metrics, ThatAreRemovedUnderTheRunAreWrittenAnew) {
  TrainerProcess& process = start("run");
  for (int times = 0; times < 2; ++times) {
    std::filesystem::remove(file("run"));
    ASSERT_TRUE(wait_until(process, [&] { return rows_so_far("run") >= 2; }));
  }
  process.send(SIGTERM);
  const Exit exit = process.wait();
  EXPECT_EQ(exit.status, 128 + SIGTERM);
  EXPECT_THAT(lines_of(exit.err), warns("was removed"));
  const std::vector<json> rows = all_of_metrics("run");
  EXPECT_GT(rows.front().at("step"), 3);
  EXPECT_EQ(rows.back().at("step").get<std::int64_t>() + 1, trainer::list_checkpoints(checkpoints("run")).front().step);
}

TEST_F(Metrics, ThatAreReplacedUnderTheRunAreWrittenAnewAndTheOtherFileStays) {
  TrainerProcess& process = start("run");
  folder().write("other", "mine\n");
  std::filesystem::rename(path("other"), file("run"));
  ASSERT_TRUE(wait_until(process, [&] { return bytes_of(file("run")).starts_with("{"); }));
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0666), 0);
  std::filesystem::rename(path("pipe"), file("run"));
  ASSERT_TRUE(wait_until(process, [&] { return std::filesystem::is_regular_file(file("run")); }));
  ASSERT_TRUE(wait_until(process, [&] { return rows_so_far("run") >= 2; }));
  process.send(SIGTERM);
  const Exit exit = process.wait();
  EXPECT_EQ(exit.status, 128 + SIGTERM);
  EXPECT_THAT(lines_of(exit.err), warns("was replaced"));
  EXPECT_THAT(exit.err, HasSubstr("metrics.jsonl.replaced-1"));
  EXPECT_EQ(bytes_of(path("run/metrics.jsonl.replaced-1")), "mine\n");
  EXPECT_TRUE(std::filesystem::is_fifo(path("run/metrics.jsonl.replaced-2")));
  EXPECT_NO_THROW(all_of_metrics("run"));
}

// None of them can be opened; the links are moved, not what they lead to.
TEST_F(Metrics, ThatAreReplacedByWhatIsNoFileAreWrittenAnew) {
  folder().write("mine", "mine\n");
  std::filesystem::create_directory(path("folder"));
  std::filesystem::create_symlink("nowhere", path("dangling"));
  std::filesystem::create_symlink("metrics.jsonl", path("looping"));
  std::filesystem::create_symlink("../mine", path("leading"));
  folder().write("unreadable", "mine\n");
  std::filesystem::permissions(path("unreadable"), std::filesystem::perms::none);
  TrainerProcess& process = start("run");
  const std::vector<std::string> others{"dangling", "looping", "leading", "unreadable", "folder"};
  for (const std::string& other : others) {
    std::filesystem::remove(file("run"));  // which no folder can replace; the run may begin anew in between
    for (std::error_code taken(1, std::generic_category()); taken;) {
      std::filesystem::rename(path(other), file("run"), taken);
      if (taken) {
        std::filesystem::remove(file("run"));
      }
    }
    ASSERT_TRUE(wait_until(process, [&] {
      return std::filesystem::is_regular_file(std::filesystem::symlink_status(file("run"))) && rows_so_far("run") >= 2;
    })) << other;
  }
  process.send(SIGTERM);
  const Exit exit = process.wait();
  EXPECT_EQ(exit.status, 128 + SIGTERM);
  EXPECT_THAT(lines_of(exit.err), ElementsAre(StartsWith("warning: [metrics] ")));
  EXPECT_EQ(bytes_of(path("mine")), "mine\n");
  EXPECT_FALSE(std::filesystem::exists(out_dir("run") / "nowhere"));
  std::size_t aside = 0;
  for (const auto& entry : std::filesystem::directory_iterator(out_dir("run"))) {
    aside += entry.path().filename().string().starts_with("metrics.jsonl.replaced-") ? 1 : 0;
  }
  EXPECT_EQ(aside, others.size());
}

TEST_F(Metrics, ThatAreCutShortUnderTheRunGoOn) {
  TrainerProcess& process = start("run");
  std::filesystem::resize_file(file("run"), 0);
  ASSERT_TRUE(wait_until(process, [&] { return rows_so_far("run") >= 2; }));
  process.send(SIGTERM);
  EXPECT_THAT(lines_of(process.wait().err), warns("was cut short"));
  EXPECT_NO_THROW(all_of_metrics("run"));
}

class OutDir : public Metrics {
 protected:
  void expect_lost(TrainerProcess& process, const std::vector<std::string>& texts) {
    const Exit exit = process.wait();
    EXPECT_EQ(exit.status, 1);
    ASSERT_THAT(lines_of(exit.err), SizeIs(1)) << exit.err;
    EXPECT_THAT(exit.err, StartsWith("error: [run] " + out_dir("run").string()));
    for (const std::string& text : texts) {
      EXPECT_THAT(exit.err, HasSubstr(text));
    }
  }
};

TEST_F(OutDir, ThatIsRenamedEndsTheRun) {
  TrainerProcess& process = start("run");
  std::filesystem::rename(out_dir("run"), path("elsewhere"));
  expect_lost(process,
              {"was renamed to", path("elsewhere").filename().string(), "lost: what was trained after step 0"});
  EXPECT_FALSE(std::filesystem::exists(out_dir("run")));
}

TEST_F(OutDir, ThatIsRenamedLosesWhatCameAfterTheLastSave) {
  TrainerProcess process(arguments("", endless("run") + Settings{"train.save_every=100"}));
  ASSERT_TRUE(wait_until(process, [&] { return rows_so_far("run") >= 102; }));
  std::filesystem::rename(out_dir("run"), path("elsewhere"));
  const auto saved = trainer::list_checkpoints(path("elsewhere/checkpoints"));
  EXPECT_GE(saved.front().step, 100);
  expect_lost(process, {fmt::format("lost: what was trained after step {}, the last one saved", saved.front().step)});
}

// A save fails then where the file is to take its name.
TEST_F(OutDir, ThatIsRenamedDuringASaveIsTheReasonGiven) {
  TrainerProcess process(arguments("", endless("run") + Settings{"train.save_every=1"}));
  const auto saving = [&] {
    std::error_code not_yet;
    for (const auto& entry : std::filesystem::directory_iterator(out_dir("run") / "checkpoints", not_yet)) {
      if (entry.path().filename().string().find(".retape-tmp") != std::string::npos) {
        return true;
      }
    }
    return false;
  };
  ASSERT_TRUE(wait_until(process, [&] { return rows_so_far("run") >= 2 && saving(); }));
  std::filesystem::rename(out_dir("run"), path("elsewhere"));
  expect_lost(process, {"was renamed to"});
}

TEST_F(OutDir, WhoseNameAnotherTakesEndsTheRun) {
  TrainerProcess& process = start("run");
  std::filesystem::rename(out_dir("run"), path("elsewhere"));
  std::filesystem::create_directory(out_dir("run"));
  expect_lost(process, {"was renamed to"});
  EXPECT_TRUE(std::filesystem::is_empty(out_dir("run")));
}

TEST_F(OutDir, ThatIsRemovedEndsTheRun) {
  train("run", {"train.steps=2", "optimizer.schedule=constant"});
  TrainerProcess& process = start("run");
  ASSERT_TRUE(wait_until(process, [&] { return rows_so_far("run") >= 4; }));
  std::filesystem::rename(out_dir("run"), path("elsewhere"));  // at once, so that nothing is written in between
  std::filesystem::remove_all(path("elsewhere"));
  expect_lost(process, {"after step 2, the last one saved"});
}

}  // namespace
}  // namespace retape::integration
