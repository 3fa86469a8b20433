// What lies in the folder of a run stays whole: what others put there, and what an earlier run left.
#include <sys/file.h>

#include <csignal>

#include "tests/integration/training_case.h"
#include "trainer/checkpoint_files.h"
#include "trainer/config_loader.h"

namespace retape::integration {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

class EarlierRun : public TrainingCase {
 protected:
  static constexpr const char* kNever = "train.resume=never";

  // Files below a folder with their bytes, by their paths in it.
  std::map<std::string, std::string> files_in(const std::filesystem::path& folder) const {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file() && entry.path().filename() != ".retape.lock") {
        files[std::filesystem::relative(entry.path(), folder)] = bytes_of(entry.path());
      }
    }
    return files;
  }
};

TEST_F(EarlierRun, IsMovedWhereTheNextStartsAnew) {
  for (const std::string before : {"before-1", "before-2"}) {
    train("run", {"train.steps=3", "train.save_every=2", before == "before-1" ? "run.seed=1" : "run.seed=2", kNever});
    std::map<std::string, std::string> earlier = files_in(out_dir("run"));
    std::erase_if(earlier, [](const auto& file) { return file.first.starts_with("before-"); });
    EXPECT_THAT(earlier, SizeIs(4));  // two checkpoints, metrics, settings
    const Exit anew = train("run", {"train.steps=2", "run.seed=3", kNever});
    EXPECT_THAT(anew.out,
                HasSubstr(fmt::format("the run that was in {0} is now in {0}/{1}\n", out_dir("run").string(), before)));
    EXPECT_THAT(anew.err, IsEmpty());
    EXPECT_EQ(files_in(out_dir("run") / before), earlier);
    EXPECT_THAT(trainer::list_checkpoints(checkpoints("run")), SizeIs(1));
    if (before == "before-1") {
      std::filesystem::remove_all(checkpoints("run"));
      std::filesystem::remove(out_dir("run") / "metrics.jsonl");
    }
  }
  // What was moved is a run as before.
  train("run/before-1", {"train.steps=4", "train.save_every=2"});
}

TEST_F(EarlierRun, IsMovedWhereACheckpointOfAnotherGoesOn) {
  train("run", {"train.save_every=2", "train.keep_last=3", "train.eval_every=0"});
  train("other", {"train.steps=6", "train.save_every=3", "train.keep_last=3", "run.seed=2"});
  const auto earlier = files_in(out_dir("run"));
  const auto other = files_in(out_dir("other"));
  const std::string from = trainer::list_checkpoints(checkpoints("other")).back().path.string();
  const Settings on{"run.seed=2", "train.steps=6", "train.keep_last=1", "train.resume=" + from};
  const Exit exit = train("run", on);
  EXPECT_THAT(exit.err, IsEmpty());
  EXPECT_THAT(exit.out,
              HasSubstr(fmt::format("the run that was in {0} is now in {0}/before-1\n", out_dir("run").string())));
  EXPECT_THAT(exit.out, HasSubstr("goes on after step 3 of 6 (" + from + ")"));
  EXPECT_EQ(files_in(out_dir("run") / "before-1"), earlier);
  EXPECT_EQ(files_in(out_dir("other")), other);
  EXPECT_EQ(metrics("run").front().at("step"), 3) << "the rows below are of the other run";
  EXPECT_EQ(newest_checkpoint("run"), newest_checkpoint("other"));

  // The newest of its own goes on where it lies.
  const std::string newest = trainer::list_checkpoints(checkpoints("run")).front().path.string();
  EXPECT_THAT(train("run", on + Settings{"train.steps=7", "train.resume=" + newest}).out, Not(HasSubstr("is now in")));
  EXPECT_FALSE(std::filesystem::exists(out_dir("run") / "before-2"));
}

// The run keeps the rows below it; the checkpoint itself is moved with the others.
TEST_F(EarlierRun, IsMovedWhereAnOlderCheckpointOfItsOwnGoesOn) {
  train("run", {"train.save_every=2", "train.keep_last=9"});
  train("whole");
  for (const bool is_linked : {false, true}) {
    const std::string before = is_linked ? "before-2" : "before-1";
    auto earlier = files_in(out_dir("run"));
    std::erase_if(earlier, [](const auto& file) { return file.first.starts_with("before-"); });
    const std::filesystem::path older = trainer::list_checkpoints(checkpoints("run")).back().path;
    std::filesystem::create_symlink(older, path("link" + before));
    const std::string name = (is_linked ? path("link" + before) : older).string();
    const Exit exit = train("run", {"train.save_every=3", "train.keep_last=9", "train.resume=" + name});
    EXPECT_THAT(exit.err, IsEmpty());
    const std::filesystem::path moved = out_dir("run") / before / "checkpoints" / older.filename();
    EXPECT_THAT(exit.out, HasSubstr(fmt::format("of 8 ({})", moved.string())));
    EXPECT_EQ(trainer::load_config(out_dir("run") / "config.toml").train.resume, moved.string());
    EXPECT_EQ(files_in(out_dir("run") / before), earlier);
    expect_same_bits("whole", "run");
  }
}

TEST_F(EarlierRun, IsNamedWhereWhatFollowsItFails) {
  train("run", {"train.steps=6", "train.save_every=2", "train.keep_last=9", "optimizer.schedule=constant"});
  const std::filesystem::path older = trainer::list_checkpoints(checkpoints("run")).back().path;
  const Exit exit =
      run_trainer(arguments("", settings("run") + Settings{"optimizer.schedule=constant", "train.eval_every=0",
                                                           "optimizer.lr=1e30", "train.resume=" + older.string()}));
  EXPECT_EQ(exit.status, 1);
  EXPECT_THAT(exit.err, HasSubstr("the last good checkpoint is " +
                                  (out_dir("run") / "before-1/checkpoints" / older.filename()).string()));
}

TEST_F(EarlierRun, OfMetricsAloneIsMovedToo) {
  TrainerProcess process(arguments("", settings("run") + Settings{"train.steps=20000", "train.eval_every=0"}));
  ASSERT_TRUE(wait_until(process, [&] { return rows_so_far("run") >= 2; }));
  process.send(SIGKILL);
  process.wait();
  const std::string rows = bytes_of(out_dir("run") / "metrics.jsonl");
  train("run", {"train.steps=2", kNever});
  EXPECT_EQ(bytes_of(out_dir("run") / "before-1/metrics.jsonl"), rows);
}

TEST_F(EarlierRun, StaysWhereAStartIsRefused) {
  train("run", {"train.steps=2"});
  const auto before = files_in(out_dir("run"));
  for (const std::string refused : {"data.train=/nowhere.txt", "run.memory_limit=1KiB"}) {
    EXPECT_EQ(run_trainer(arguments("", settings("run") + Settings{kNever, refused})).status, 1);
    EXPECT_EQ(files_in(out_dir("run")), before);
  }
  std::filesystem::rename(checkpoints("run"), path("disk"));
  std::filesystem::create_directory_symlink(path("disk"), checkpoints("run"));
  const Exit linked = run_trainer(arguments("", settings("run") + Settings{kNever}));
  EXPECT_EQ(linked.status, 1);
  EXPECT_THAT(linked.err, HasSubstr("checkpoints: a link does not make room for another run"));
  EXPECT_THAT(trainer::list_checkpoints(checkpoints("run")), SizeIs(1));
}

TEST_F(EarlierRun, IsNotHiddenFromThoseWhoReadIt) {
  train("run", {"train.steps=2"});
  const Settings never = settings("run") + Settings{kNever};
  EXPECT_THAT(run_trainer(arguments("eval", never)).out, HasSubstr("after step 2"));
  EXPECT_TRUE(run_trainer(arguments("sample", never, {"--tokens", "3"})).ok());
  EXPECT_TRUE(run_trainer(arguments("export", never, {"--output", path("x").string()})).ok());
}

// A file of the user's in the folder of a run.
class ForeignFile : public EarlierRun {
 protected:
  std::filesystem::path settings_file(const std::string& name) const { return out_dir("run") / name; }

  Exit expect_refused(const std::vector<std::string>& words, const std::string& text) const {
    Exit exit = run_trainer(words);
    EXPECT_EQ(exit.status, 1);
    EXPECT_THAT(lines_of(exit.err), ElementsAre(AllOf(StartsWith("error: "), HasSubstr(text))));
    return exit;
  }
};

TEST_F(ForeignFile, OfSettingsIsLeftAlone) {
  const std::string mine = "# mine\n[model]\nlayers = 1\n";
  folder().write("run/config.toml", mine);
  const Settings two = settings("run") + Settings{"train.steps=2"};
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--config", settings_file("config.toml").string()}, {}, {"--force"}}) {
    const Exit exit = run_trainer(arguments("", two, more));
    ASSERT_TRUE(exit.ok()) << exit.err;
    EXPECT_THAT(exit.err, IsEmpty());
    EXPECT_THAT(exit.out, HasSubstr("the settings in force are in " + settings_file("settings.toml").string() + "\n"));
    EXPECT_EQ(bytes_of(settings_file("config.toml")), mine);
  }
  EXPECT_EQ(trainer::load_config(settings_file("settings.toml")).model.layers, 2);

  folder().write("run/settings.toml", mine);
  expect_refused(arguments("", two), "settings.toml: expected a file that a run wrote");
  EXPECT_EQ(bytes_of(settings_file("settings.toml")), mine);
  EXPECT_TRUE(run_trainer(arguments("", two, {"--force"})).ok());
  EXPECT_NE(bytes_of(settings_file("settings.toml")), mine);
}

TEST_F(ForeignFile, IsWhatARunWroteOnceItIsEdited) {
  train("run", {"train.steps=2"});
  EXPECT_THAT(train("run", {"train.steps=3"}).out, Not(HasSubstr("settings.toml")));
  EXPECT_EQ(trainer::load_config(settings_file("config.toml")).train.steps, 3);
  const std::string edited = bytes_of(settings_file("config.toml")) + "# remember the milk\n";
  folder().write("run/config.toml", edited);
  EXPECT_THAT(train("run", {"train.steps=4"}).out, HasSubstr("config.toml was not written by a run, or was edited"));
  EXPECT_EQ(bytes_of(settings_file("config.toml")), edited);
  EXPECT_EQ(trainer::load_config(settings_file("settings.toml")).train.steps, 4);

  std::filesystem::remove(settings_file("config.toml"));
  train("run", {"train.steps=5"});
  EXPECT_EQ(trainer::load_config(settings_file("config.toml")).train.steps, 5);
  EXPECT_FALSE(std::filesystem::exists(settings_file("settings.toml"))) << "its settings are no longer in force";
}

TEST_F(ForeignFile, IsNotWrittenWhileItIsRead) {
  train("run", {"train.steps=2"});
  const std::string own = bytes_of(settings_file("config.toml"));
  const std::vector<std::string> words{"--config", settings_file("config.toml").string(), "--set", "train.steps=3"};
  EXPECT_THAT(run_trainer(words).out, HasSubstr("config.toml is what the settings were read from; "));
  EXPECT_EQ(bytes_of(settings_file("config.toml")), own);
  EXPECT_EQ(run_trainer(words + Settings{"--set", "train.resume=never"}).status, 0);
  EXPECT_EQ(bytes_of(settings_file("config.toml")), own) << "the next start reads it again";
}

// Where both names are taken there is no third.
TEST_F(ForeignFile, IsNotWrittenWhileItsPlaceHolderIsRead) {
  folder().write("run/config.toml", "# mine\n");
  train("run", {"train.steps=2"});
  const std::filesystem::path instead = settings_file("settings.toml");
  const std::string own = bytes_of(instead);
  for (const std::vector<std::string>& force : {std::vector<std::string>{}, {"--force"}}) {
    expect_refused(Settings{"train", "--config", instead.string(), "--set", "train.steps=3"} + force,
                   "settings.toml: the settings were read from it");
    EXPECT_EQ(bytes_of(instead), own);
  }
}

TEST_F(ForeignFile, OfAnEarlierVersionsRunIsTheRunsOwn) {
  std::filesystem::copy(RETAPE_STORED_RUN, path("stored"), std::filesystem::copy_options::recursive);
  const Exit exit = run_trainer({"--config", path("stored/run/config.toml").string(), "--set",
                                 "run.out_dir=" + path("stored/run").string(), "--set",
                                 "data.train=" + path("stored/text.txt").string()});
  EXPECT_THAT(exit.out, HasSubstr("is what the settings were read from"));
  std::filesystem::copy(path("stored/run/config.toml"), path("copy.toml"));
  const std::vector<std::string> elsewhere{"--config", path("copy.toml").string(),
                                           "--set",    "run.out_dir=" + path("stored/run").string(),
                                           "--set",    "data.train=" + path("stored/text.txt").string()};
  EXPECT_THAT(run_trainer(elsewhere).out, Not(HasSubstr("settings.toml")));
  EXPECT_NE(bytes_of(path("copy.toml")), bytes_of(path("stored/run/config.toml")));

  // Without checkpoints nothing says that it is one.
  std::filesystem::create_directory(path("new"));
  std::filesystem::copy(path("copy.toml"), path("new/config.toml"));
  EXPECT_THAT(train("new", {"train.steps=1"}).out, HasSubstr("settings.toml"));
}

TEST_F(ForeignFile, NamedLockIsLeftAlone) {
  folder().write("run/lock", "42\n");
  folder().write("diary", "mine\n");
  std::filesystem::create_symlink("../diary", path("run/.retape.lock"));
  expect_refused(arguments("", settings("run")), ".retape.lock");
  EXPECT_EQ(bytes_of(path("diary")), "mine\n");
  std::filesystem::remove(path("run/.retape.lock"));
  folder().write("run/.retape.lock", "dear diary");
  expect_refused(arguments("", settings("run")), ".retape.lock: expected a lock");
  std::filesystem::remove(path("run/.retape.lock"));
  train("run", {"train.steps=1"});
  EXPECT_EQ(bytes_of(path("run/lock")), "42\n");
  EXPECT_EQ(bytes_of(path("run/.retape.lock")).find_first_not_of("0123456789\n"), std::string::npos);
}

// It would write the same files.
TEST_F(ForeignFile, ThatAnEarlierVersionHoldsAsItsLockEndsAStart) {
  const std::string lock = folder().write("run/lock", "42\n").string();
  FILE* held = std::fopen(lock.c_str(), "r+");
  ASSERT_EQ(flock(fileno(held), LOCK_EX), 0);
  expect_refused(arguments("", settings("run")), "run/lock: process 42 holds this lock");
  std::fclose(held);
  train("run", {"train.steps=1"});
}

TEST_F(ForeignFile, OfMetricsIsRefusedBeforeTheFirstStep) {
  const std::string mine = R"({"step": 0, "loss": 1.5})"
                           "\n";
  folder().write("run/metrics.jsonl", mine);
  expect_refused(arguments("", settings("run")), "metrics.jsonl: expected the rows of a run");
  expect_refused(arguments("", settings("run") + Settings{kNever}), "metrics.jsonl: expected the rows of a run");
  EXPECT_EQ(bytes_of(path("run/metrics.jsonl")), mine);
  EXPECT_TRUE(run_trainer(arguments("train", settings("run") + Settings{"train.steps=2"}, {"--force"})).ok());
  EXPECT_THAT(metrics("run"), SizeIs(2 + 1));
}

TEST_F(ForeignFile, OfMetricsInTheFolderOfARunIsRefusedToo) {
  train("run", {"train.steps=2"});
  const std::string rows = bytes_of(path("run/metrics.jsonl"));
  const std::vector<std::string> on = arguments("train", settings("run") + Settings{"train.steps=3"});
  const std::string no_row = "{\"notes\": 1}\n";
  for (const std::string& mine : {std::string("mine\n"), std::string("mine"), no_row, no_row + rows}) {
    folder().write("run/metrics.jsonl", mine);
    expect_refused(on, "metrics.jsonl: expected the rows of a run");
    EXPECT_EQ(bytes_of(path("run/metrics.jsonl")), mine);
  }
  EXPECT_TRUE(run_trainer(on + Settings{"--force"}).ok());
  EXPECT_THAT(metrics("run"), SizeIs(3 + 2)) << "rows that lie there are kept";

  // What a kill has cut in its first row is a run's.
  for (const std::string& cut : {std::string(), std::string("{\"st"), rows.substr(0, rows.find('\n'))}) {
    folder().write("run/metrics.jsonl", cut);
    EXPECT_TRUE(run_trainer(on).ok()) << cut;
  }
}

TEST_F(ForeignFile, IsNotWrittenThroughALink) {
  train("run", {"train.steps=2"});
  train("other", {"train.steps=2"});
  const auto other = files_in(out_dir("other"));
  for (const std::string name : {"metrics.jsonl", "config.toml"}) {
    std::filesystem::remove(path("run") / name);
    std::filesystem::create_symlink(path("other") / name, path("run") / name);
  }
  for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--force"}}) {
    expect_refused(arguments("train", settings("run"), more), "metrics.jsonl: expected a regular file, got a link");
  }
  std::filesystem::remove(path("run/metrics.jsonl"));
  EXPECT_THAT(train("run", {"train.steps=3"}).out, HasSubstr("the settings in force are in"));
  EXPECT_EQ(files_in(out_dir("other")), other);
}

TEST_F(ForeignFile, OfAnyOtherNameIsLeftAlone) {
  for (const char* name : {"run/notes.tmp.2024.11", "run/checkpoints/notes.tmp.2024.11", "run/metrics.jsonl.tmp.20.11",
                           "run/checkpoints/probe", "run/probe"}) {
    folder().write(name, "mine");
  }
  train("run", {"train.steps=2", "train.save_every=1", "train.keep_last=1"});
  for (const char* name : {"run/notes.tmp.2024.11", "run/checkpoints/notes.tmp.2024.11", "run/metrics.jsonl.tmp.20.11",
                           "run/checkpoints/probe", "run/probe"}) {
    EXPECT_EQ(bytes_of(path(name)), "mine") << name;
  }
}

}  // namespace
}  // namespace retape::integration
