// What the meta device predicts is what a run measures, to the byte.
#include <unistd.h>

#include <charconv>
#include <csignal>

#include "tests/integration/training_case.h"
#include "trainer/config_loader.h"
#include "trainer/memory_plan.h"

namespace retape::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string config_file(const std::string& name) {
  return std::string(RETAPE_CONFIGS) + "/" + name;
}

struct PlannedRun {
  std::string name;
  std::string config;
  Settings settings;
  std::int64_t vocab;
};

// Names a test.
std::ostream& operator<<(std::ostream& stream, const PlannedRun& run) {
  return stream << run.name;
}

class PredictedPeak : public TrainingCase, public testing::WithParamInterface<std::tuple<PlannedRun, const char*>> {
 protected:
  PredictedPeak() {
    std::vector<std::uint16_t> tokens;
    for (std::uint32_t i = 0; i < 20000; ++i) {
      tokens.push_back(static_cast<std::uint16_t>(i * 7919 % 50257));
    }
    folder().write("tokens.bin", tokens);
  }

  const PlannedRun& planned() const { return std::get<0>(GetParam()); }

  // As the configuration has it, besides data, length and place.
  Settings settings_of_run() const {
    const bool tokens = planned().vocab > 256;
    return Settings{"run.out_dir=" + out_dir("run").string(),
                    "run.sample_tokens=0",
                    "data.train=" + path(tokens ? "tokens.bin" : "text.txt").string(),
                    "train.steps=3",
                    "train.eval_every=2",
                    "train.eval_batches=1",
                    "optimizer.warmup_steps=0",
                    std::string("model.dtype=") + std::get<1>(GetParam())} +
           planned().settings;
  }
};

TEST_P(PredictedPeak, IsTheMeasuredPeak) {
  const trainer::Config config = trainer::load_config(config_file(planned().config), settings_of_run());
  const trainer::MemoryPlan plan = trainer::plan_memory(config, planned().vocab);
  if (plan.stats.peak > sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / 2) {
    GTEST_SKIP() << "needs " << format_bytes(plan.stats.peak);
  }

  TrainerProcess process(arguments("", settings_of_run(), {"--config", config_file(planned().config)}));
  // Steps 0 and 1, an evaluation, and step 2; a checkpoint of a large model is not worth its time.
  const bool all_rows = wait_until(process, [&] { return rows_so_far("run") >= 4; });
  if (plan.stats.peak > 1_GiB) {
    process.send(SIGKILL);
  }
  const Exit exit = process.wait();
  ASSERT_TRUE(all_rows) << exit.err;
  EXPECT_THAT(exit.out, HasSubstr(trainer::memory_table(plan)));
  EXPECT_EQ(plan.host_peak_bytes > 0, config.activation_checkpointing.cpu_checkpointing);
  for (const nlohmann::json& row : all_of_metrics("run")) {
    if (row.contains("loss")) {
      EXPECT_EQ(row.at("peak_bytes"), plan.stats.peak);
      EXPECT_EQ(row.at("activation_peak_bytes"), plan.stats.activation_peak);
      EXPECT_EQ(row.at("offload_bytes") > 0, config.activation_checkpointing.cpu_checkpointing);
    }
  }
}

const std::string kShakespeare = "shakespeare-char.toml";
constexpr std::int64_t kCharacters = 22;  // that the text of TrainingCase has
const Settings kOdd{
    "train.grad_accum=3",     "model.tie_embeddings=false", "model.dropout=0.1",  "model.dim=60",
    "model.heads=3",          "model.seq_len=37",           "train.batch_size=5", "run.hash_gradients=true",
    "run.log_gradients=true", "optimizer.grad_clip=0"};
const std::string kActivations = "activation_checkpointing.";

Settings with_policy(const std::string& policy) {
  return {kActivations + "policy=" + policy};
}

INSTANTIATE_TEST_SUITE_P(
    Configs, PredictedPeak,
    testing::Combine(testing::Values(PlannedRun{"gpt", "gpt.toml", {}, 256},
                                     PlannedRun{"gpt2_124m",
                                                "gpt2-124m.toml",
                                                {"train.batch_size=1", "train.grad_accum=1", "model.seq_len=128"},
                                                50257},
                                     PlannedRun{"shakespeare_char", kShakespeare, {}, kCharacters},
                                     PlannedRun{"grad_accum", kShakespeare, {"train.grad_accum=2"}, kCharacters},
                                     PlannedRun{"many_micro_steps", kShakespeare, {"train.grad_accum=7"}, kCharacters},
                                     PlannedRun{"untied", kShakespeare, {"model.tie_embeddings=false"}, kCharacters},
                                     PlannedRun{"dropout", kShakespeare, {"model.dropout=0.1"}, kCharacters},
                                     PlannedRun{"everything_odd", kShakespeare, kOdd, kCharacters},
                                     PlannedRun{"one_thread", kShakespeare, {"run.threads=1"}, kCharacters},
                                     PlannedRun{"full", kShakespeare, kOdd + with_policy("full"), kCharacters},
                                     PlannedRun{"selective", kShakespeare,
                                                kOdd + with_policy("selective") +
                                                    Settings{kActivations + "recompute=[\"layer_norm\", \"gelu\"]"},
                                                kCharacters},
                                     PlannedRun{"uniform_contiguous_on_the_host", kShakespeare,
                                                kOdd + with_policy("uniform") +
                                                    Settings{kActivations + "layers=2",
                                                             kActivations + "contiguous_memory_optimization=true",
                                                             kActivations + "cpu_checkpointing=true"},
                                                kCharacters}),
                     testing::Values("f32", "bf16")),
    [](const auto& info) { return std::get<0>(info.param).name + "_" + std::get<1>(info.param); });

// --- Limits --------------------------------------------------------------------------------------------------------

class MemoryLimit : public TrainingCase {
 protected:
  // Room enough for batches to matter beside segments of a fixed size.
  Settings large_batch() const {
    return {"train.batch_size=64", "model.seq_len=64", "run.sample_tokens=8", "train.steps=4", "train.grad_accum=1"};
  }

  Exit try_to_train(const std::string& run, const Settings& more) const {
    return run_trainer(arguments("", settings(run) + large_batch() + more));
  }

  // The number after `before` in a message.
  static std::int64_t number_after(const std::string& message, std::string_view before) {
    const std::size_t at = message.find(before);
    std::int64_t number = -1;
    if (at != std::string::npos) {
      const char* begin = message.data() + at + before.size();
      std::from_chars(begin, message.data() + message.size(), number);
    }
    EXPECT_GT(number, 0) << before << " is not in: " << message;
    return number;
  }
};

TEST_F(MemoryLimit, SaysWhatIsNeededAndWhatWouldFit) {
  const Exit refused = try_to_train("refused", {"run.memory_limit=8MiB"});
  EXPECT_EQ(refused.status, 1);
  ASSERT_EQ(lines_of(refused.err).size(), 1U) << refused.err;
  EXPECT_THAT(refused.err, AllOf(HasSubstr("run.memory_limit"), HasSubstr("train.batch_size = 64"),
                                 HasSubstr("got 8.0 MiB"), HasSubstr("would fit")));
  EXPECT_FALSE(std::filesystem::exists(out_dir("refused")));

  const std::int64_t needed = number_after(refused.err, "expected at least ");
  const Exit enough = try_to_train("enough", {"run.memory_limit=" + std::to_string(needed)});
  EXPECT_TRUE(enough.ok()) << enough.err;

  const std::int64_t batch = number_after(refused.err, "; train.batch_size = ");
  const auto with_batch = [](std::int64_t rows) {
    return Settings{"run.memory_limit=8MiB", "train.batch_size=" + std::to_string(rows)};
  };
  const Exit smaller = try_to_train("smaller", with_batch(batch));
  EXPECT_TRUE(smaller.ok()) << smaller.err;
  EXPECT_EQ(try_to_train("one_more", with_batch(batch + 1)).status, 1);
}

TEST_F(MemoryLimit, ChangesNoBit) {
  const Exit refused = try_to_train("refused", {"run.memory_limit=8MiB"});
  const std::int64_t needed = number_after(refused.err, "expected at least ");
  ASSERT_TRUE(try_to_train("free", {}).ok());
  ASSERT_TRUE(try_to_train("limited", {"run.memory_limit=" + std::to_string(needed)}).ok());
  expect_same_bits("free", "limited");
}

TEST_F(MemoryLimit, ThatNoBatchFitsSaysSo) {
  const Exit refused = try_to_train("refused", {"run.memory_limit=10KiB"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("not even train.batch_size = 1 fits"));
  EXPECT_EQ(lines_of(refused.err).size(), 1U) << refused.err;
}

// --- The meta device -----------------------------------------------------------------------------------------------

using MetaDevice = TrainingCase;

TEST_F(MetaDevice, PrintsThePlanAndWritesNothing) {
  const Exit planned = run_trainer(arguments("", settings("run") + Settings{"run.device=meta"}));
  EXPECT_TRUE(planned.ok()) << planned.err;
  EXPECT_THAT(planned.out, AllOf(HasSubstr("activations"), HasSubstr("total"), HasSubstr("computes nothing")));
  EXPECT_FALSE(std::filesystem::exists(out_dir("run")));
}

TEST_F(MetaDevice, NeedsNoDataWhereTheVocabularyIsKnown) {
  const Exit planned = run_trainer({"--config", config_file("gpt2-124m.toml"), "--set", "run.device=meta"});
  EXPECT_TRUE(planned.ok()) << planned.err;
  EXPECT_THAT(planned.out, HasSubstr("computes nothing"));
}

TEST_F(MetaDevice, HasALimitToo) {
  const Exit refused = run_trainer(
      {"--config", config_file("gpt2-124m.toml"), "--set", "run.device=meta", "--set", "run.memory_limit=2GiB"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("run.memory_limit"), HasSubstr("got 2.0 GiB")));
}

TEST_F(MetaDevice, RunsNoOtherCommand) {
  train("run", {"train.steps=1"});
  for (const char* command : {"eval", "sample"}) {
    const Exit refused = run_trainer(arguments(command, settings("run") + Settings{"run.device=meta"}));
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.err, AllOf(HasSubstr("[run] device"), HasSubstr("\"meta\"")));
    EXPECT_EQ(lines_of(refused.err).size(), 1U) << refused.err;
  }
}

}  // namespace
}  // namespace retape::integration
