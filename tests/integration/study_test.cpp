// `trainer study` runs policies side by side: all of them have the bits of keeping everything.
#include <sstream>

#include "tests/integration/training_case.h"

namespace retape::integration {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string kAll = "none,full,full:2,selective:layer_norm+gelu,block:1,uniform:2,nested:2";
constexpr int kAllCount = 7;

class Study : public TrainingCase {
 protected:
  Exit study(const std::string& run, const std::string& policies, const Settings& more = {},
             const std::vector<std::string>& options = {"--steps", "3"}) const {
    std::vector<std::string> words = arguments("study", settings(run) + more, options);
    words.insert(words.end(), {"--policies", policies});
    return run_trainer(words);
  }

  static json report_in(const std::filesystem::path& folder) { return json::parse(bytes_of(folder / "study.json")); }

  // Nothing was run and nothing was written.
  void expect_refused(const Exit& exit, const std::string& run, const std::string& message, int status = 1) const {
    EXPECT_EQ(exit.status, status);
    EXPECT_EQ(exit.out, "");
    EXPECT_THAT(exit.err, HasSubstr(message));
    EXPECT_EQ(lines_of(exit.err).size(), 1U) << exit.err;
    EXPECT_FALSE(std::filesystem::exists(out_dir(run)));
  }
};

std::vector<std::string> columns_of(const std::string& line) {
  std::vector<std::string> columns;
  std::istringstream stream(line);
  for (std::string column; std::getline(stream, column, ',');) {
    columns.push_back(column);
  }
  return columns;
}

TEST_F(Study, HasEveryPolicyWithTheSameBitsAndThePredictedMemory) {
  const Exit exit = study("study", kAll, {}, {"--steps", "3", "--repeats", "2"});
  ASSERT_TRUE(exit.ok()) << exit.err;
  const json report = report_in(out_dir("study"));
  EXPECT_EQ(report.at("steps"), 3);
  EXPECT_EQ(report.at("repeats"), 2);
  const json& policies = report.at("policies");
  const std::vector<std::string> names = columns_of(kAll);
  ASSERT_EQ(policies.size(), names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    SCOPED_TRACE(names[i]);
    const json& policy = policies[i];
    EXPECT_EQ(policy.at("policy"), names[i]);
    EXPECT_EQ(policy.at("peak_bytes"), policy.at("predicted_peak_bytes"));
    Bytes sum = 0;
    for (const auto& [tag, predicted] : policy.at("predicted_by_tag").items()) {
      EXPECT_EQ(policy.at("by_tag").at(tag), predicted) << tag;
      sum += predicted.get<Bytes>();
    }
    EXPECT_EQ(policy.at("by_tag").size(), policy.at("predicted_by_tag").size());
    EXPECT_EQ(sum, policy.at("peak_bytes"));
    EXPECT_EQ(policy.at("same_bits"), true);
    EXPECT_EQ(policy.at("grad_hashes"), policies[0].at("grad_hashes"));
    EXPECT_EQ(policy.at("losses"), policies[0].at("losses"));
    EXPECT_EQ(policy.at("grad_hashes").size(), 3U);
    EXPECT_EQ(policy.at("step_ms").size(), 4U) << "two runs, without their first steps";
    EXPECT_THAT(exit.out, HasSubstr("\n" + names[i] + " "));
    if (i > 0) {
      EXPECT_LT(policy.at("activation_peak_bytes"), policies[0].at("activation_peak_bytes"));
      EXPECT_GT(policy.at("recompute_share"), 0);
    }
  }
  EXPECT_EQ(policies[0].at("recompute_share"), 0);
  EXPECT_EQ(policies[0].at("relative_time"), 1);

  const std::size_t by_tag = exit.out.find("\npolicy", exit.out.find("at the peak: predicted = measured"));
  ASSERT_NE(by_tag, std::string::npos) << exit.out;
  EXPECT_THAT(exit.out.substr(by_tag), AllOf(HasSubstr("checkpoints"), Not(HasSubstr(" / "))));

  const std::vector<std::string> csv = lines_of(bytes_of(out_dir("study") / "study.csv"));
  ASSERT_EQ(csv.size(), 1U + kAllCount);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::vector<std::string> columns = columns_of(csv[i + 1]);
    EXPECT_EQ(columns.front(), names[i]);
    EXPECT_EQ(columns[1], columns[2]) << "predicted and measured peak";
    for (std::size_t column = 4; columns_of(csv[0])[column].starts_with("predicted_"); column += 2) {
      EXPECT_EQ(columns[column], columns[column + 1]) << columns_of(csv[0])[column];
    }
    EXPECT_THAT(csv[i + 1], HasSubstr(",yes,"));
  }
}

TEST_F(Study, HasTheBitsAndTheMemoryOfTraining) {
  ASSERT_TRUE(study("study", "full").ok());
  train("run", {"activation_checkpointing.policy=full", "train.eval_every=0"});
  const json report = report_in(out_dir("study"));
  const json& full = report.at("policies").at(0);
  const std::vector<json> rows = metrics("run");
  for (std::size_t step = 0; step < 3; ++step) {
    EXPECT_EQ(full.at("grad_hashes")[step], rows[step].at("grad_hash"));
    EXPECT_EQ(full.at("losses")[step], rows[step].at("loss"));
  }
  EXPECT_EQ(full.at("peak_bytes"), rows[2].at("peak_bytes"));
  EXPECT_EQ(full.at("activation_peak_bytes"), rows[2].at("activation_peak_bytes"));
}

TEST_F(Study, TouchesNothingButItsTwoFilesAndAMark) {
  train("run");
  const std::string metrics_before = bytes_of(out_dir("run") / "metrics.jsonl");
  const CheckpointContents checkpoint_before = newest_checkpoint("run");
  const auto files = [&] { return std::distance(std::filesystem::recursive_directory_iterator(out_dir("run")), {}); };
  const auto files_before = files();
  ASSERT_TRUE(study("run", "none,full").ok());
  EXPECT_EQ(files(), files_before + 3);
  EXPECT_EQ(bytes_of(out_dir("run") / "metrics.jsonl"), metrics_before);
  EXPECT_EQ(newest_checkpoint("run"), checkpoint_before);

  // The start is the seed's, whatever was trained since.
  ASSERT_TRUE(study("fresh", "none,full").ok());
  EXPECT_EQ(report_in(out_dir("run")).at("policies")[0].at("losses"),
            report_in(out_dir("fresh")).at("policies")[0].at("losses"));
}

TEST_F(Study, WritesWhereItIsTold) {
  const std::filesystem::path folder = path("a") / "b";
  ASSERT_TRUE(study("study", "none", {}, {"--steps", "2", "--output", folder.string()}).ok());
  EXPECT_EQ(report_in(folder).at("policies").size(), 1U);
  EXPECT_TRUE(std::filesystem::exists(folder / "study.csv"));
  EXPECT_FALSE(std::filesystem::exists(out_dir("study")));
}

TEST_F(Study, KeepsTheOtherSettingsOfTheTable) {
  const Exit exit = study("study", "none,full",
                          {"activation_checkpointing.policy=block", "activation_checkpointing.layers=2",
                           "activation_checkpointing.contiguous_memory_optimization=true"});
  ASSERT_TRUE(exit.ok()) << exit.err;
  const json report = report_in(out_dir("study"));
  const json& policies = report.at("policies");
  EXPECT_EQ(policies[0].at("by_tag").at("checkpoints"), 0);
  EXPECT_GT(policies[1].at("by_tag").at("checkpoints"), 0);
  EXPECT_EQ(policies[1].at("peak_bytes"), policies[1].at("predicted_peak_bytes"));
  EXPECT_EQ(policies[0].at("grad_hashes"), policies[1].at("grad_hashes"));
}

TEST_F(Study, NeedsNoPolicyOfTheConfigurationForItsStores) {
  const Exit exit = study("study", "none,full", {"activation_checkpointing.contiguous_memory_optimization=true"});
  ASSERT_TRUE(exit.ok()) << exit.err;
  const json report = report_in(out_dir("study"));
  EXPECT_EQ(report.at("policies")[0].at("by_tag").at("checkpoints"), 0);
  EXPECT_GT(report.at("policies")[1].at("by_tag").at("checkpoints"), 0);
  expect_refused(study("run", "none,full", {"activation_checkpointing.number_checkpoints=4"}), "run",
                 "has no effect with activation_checkpointing.contiguous_memory_optimization = false");
}

TEST_F(Study, HasARowForAPolicyThatDoesNotFit) {
  const Exit plan = run_trainer(arguments("plan", settings("plan") + Settings{"train.batch_size=64"}, {"--json"}));
  const std::string limit = std::to_string(json::parse(plan.out).at("peak_bytes").get<Bytes>() - 1);
  const Exit exit = study("study", "none,full,full", {"train.batch_size=64", "run.memory_limit=" + limit});
  ASSERT_TRUE(exit.ok()) << exit.err;
  EXPECT_THAT(exit.out, testing::ContainsRegex("\nnone +[0-9.]+ MiB  does not fit\n"));
  const json policies = report_in(out_dir("study")).at("policies");
  EXPECT_THAT(policies[0].at("refusal").get<std::string>(), HasSubstr("[memory] run.memory_limit"));
  EXPECT_FALSE(policies[0].contains("step_ms"));
  EXPECT_EQ(policies[1].at("relative_time"), 1);
  EXPECT_EQ(policies[2].at("same_bits"), true);
  const std::vector<std::string> csv = lines_of(bytes_of(out_dir("study") / "study.csv"));
  EXPECT_EQ(columns_of(csv[1]).size(), columns_of(csv[2]).size());
}

TEST_F(Study, KeepsFinishedRoundsWhenItIsStopped) {
  std::vector<std::string> words = arguments("study", settings("study"), {"--steps", "2", "--repeats", "1000000"});
  words.insert(words.end(), {"--policies", "none,full"});
  TrainerProcess process(words);
  EXPECT_TRUE(wait_until(process, [&] { return process.out_so_far().find("round 3 of") != std::string::npos; }));
  process.send(SIGINT);
  const Exit exit = process.wait();
  EXPECT_EQ(exit.status, 128 + SIGINT) << exit.err;
  EXPECT_THAT(exit.out, AllOf(HasSubstr("stops after this step and keeps the rounds that are finished"),
                              HasSubstr(" of 1000000 rounds were finished\n")));
  const json report = report_in(out_dir("study"));
  EXPECT_GE(report.at("repeats"), 2);
  EXPECT_EQ(report.at("policies")[1].at("step_ms").size(), report.at("repeats"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(out_dir("study")), {}), 3)
      << "both, and the mark of the CSV";
}

// Hours of measurements do not depend on who reads the output.
TEST_F(Study, WritesItsFilesAlsoWhereItsOutputCannotBe) {
  for (const std::string to : {">/dev/full", "| true"}) {
    const std::string run = to.front() == '>' ? "full" : "pipe";
    std::vector<std::string> words = arguments("study", settings(run), {"--steps", "2"});
    words.insert(words.end(), {"--policies", "none,full"});
    EXPECT_EQ(in_shell("", words, " 2>&1 " + to),
              to.front() == '>' ? "error: [output] stdout: cannot be written\n" : "");
    EXPECT_EQ(report_in(out_dir(run)).at("policies").size(), 2U);
  }
}

TEST_F(Study, LeavesNothingWhereNoRoundWasFinished) {
  std::vector<std::string> words = arguments("study", settings("study"), {"--steps", "1000000"});
  TrainerProcess process(words);
  EXPECT_TRUE(wait_until(process, [&] { return process.out_so_far().find("round 1 of") != std::string::npos; }));
  process.send(SIGTERM);
  const Exit exit = process.wait();
  EXPECT_EQ(exit.status, 128 + SIGTERM) << exit.err;
  EXPECT_TRUE(std::filesystem::is_empty(out_dir("study")));
}

TEST_F(Study, ProfilesKeepingEverythingToo) {
  const Exit exit = study("study", "none,full", {"activation_checkpointing.profile=true"});
  ASSERT_TRUE(exit.ok()) << exit.err;
  train("run", {"activation_checkpointing.profile=true"});
  EXPECT_GT(metrics("run").front().at("profile").at("forward_ms"), 0);
}

TEST_F(Study, SaysWhatItIsAbout) {
  ASSERT_TRUE(study("study", "none").ok());
  const json report = report_in(out_dir("study"));
  const std::vector<std::string> names = columns_of(lines_of(bytes_of(out_dir("study") / "study.csv")).front());
  for (const char* name : {"model", "batch_size", "seq_len", "dtype", "threads", "machine", "version", "date"}) {
    EXPECT_TRUE(report.contains(name)) << name;
    EXPECT_THAT(names, testing::Contains(name));
  }
}

TEST_F(Study, OfOnePolicyComparesNothing) {
  const Exit exit = study("study", "full");
  ASSERT_TRUE(exit.ok()) << exit.err;
  EXPECT_THAT(exit.out, AllOf(HasSubstr(" -  -\n"), Not(HasSubstr("1.00x"))));
  const json report = report_in(out_dir("study"));
  EXPECT_TRUE(report.at("policies")[0].at("same_bits").is_null());
}

TEST_F(Study, RefusesWhatItCannotRun) {
  expect_refused(study("run", "none,ful"), "run", "expected one of none, full, selective, block, uniform, nested", 2);
  expect_refused(study("run", "none,selective:gelo"), "run", "got gelo");
  expect_refused(study("run", "full:0"), "run", "--policies full:0", 2);
  expect_refused(study("run", "none", {}, {"--steps", "1"}), "run", "--steps: expected an integer from 2", 2);
  expect_refused(study("run", "none", {}, {"--repeats", "0"}), "run", "--repeats: expected an integer from 1", 2);
  expect_refused(study("run", "none", {"run.device=meta"}), "run", "\"meta\"");
  expect_refused(study("run", "none", {"data.train=/nowhere.txt"}), "run", "/nowhere.txt");
  expect_refused(study("run", "full,none", {"run.memory_limit=10KiB"}), "run", "--policies full: [memory]");
}

}  // namespace
}  // namespace retape::integration
