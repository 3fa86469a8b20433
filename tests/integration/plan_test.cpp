// `trainer plan` says what a run will take: its numbers are those of the run.
#include "tests/integration/training_case.h"

namespace retape::integration {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const Settings kFull{"activation_checkpointing.policy=full"};

class Plan : public TrainingCase {
 protected:
  static json as_json(const Settings& settings, const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = arguments("plan", settings, more);
    words.emplace_back("--json");
    const Exit exit = run_trainer(words);
    EXPECT_TRUE(exit.ok()) << exit.err;
    EXPECT_EQ(exit.err, "");
    return json::parse(exit.out);  // the whole of it
  }

  // The residuals of a region that did become this.
  static std::vector<json> residuals(const json& plan, const std::string& region, const std::string& what) {
    std::vector<json> found;
    for (const json& value : plan.at("residuals")) {
      if (value.at("region") == region && value.at("what") == what) {
        found.push_back(value);
      }
    }
    return found;
  }

  static void expect_refused(const Exit& exit, const std::string& message) {
    EXPECT_EQ(exit.status, 1);
    EXPECT_EQ(exit.out, "");
    EXPECT_THAT(exit.err, HasSubstr(message));
    EXPECT_EQ(lines_of(exit.err).size(), 1U) << exit.err;
  }
};

// --- What it predicts ----------------------------------------------------------------------------------------------

class PlanOfRun : public Plan, public testing::WithParamInterface<const char*> {};

TEST_P(PlanOfRun, HasThePeaksOfTheRun) {
  const Settings policy{std::string("activation_checkpointing.policy=") + GetParam()};
  const json plan = as_json(settings("planned") + policy);
  EXPECT_FALSE(std::filesystem::exists(out_dir("planned")));

  train("run", policy);
  for (const json& row : all_of_metrics("run")) {
    if (row.contains("loss")) {
      EXPECT_EQ(row.at("peak_bytes"), plan.at("peak_bytes"));
      EXPECT_EQ(row.at("activation_peak_bytes"), plan.at("activation_peak_bytes"));
    }
  }
  Bytes sum = 0;
  for (const auto& [tag, bytes] : plan.at("by_tag").items()) {
    sum += bytes.get<Bytes>();
  }
  EXPECT_EQ(sum, plan.at("peak_bytes"));
  EXPECT_GE(plan.at("reserved_bytes"), plan.at("peak_bytes"));
}

INSTANTIATE_TEST_SUITE_P(Policies, PlanOfRun, testing::Values("none", "full", "nested"),
                         [](const auto& info) { return std::string(info.param); });

TEST_F(Plan, SaysWhatRecomputeCosts) {
  const json none = as_json(settings("run"));
  const json full = as_json(settings("run") + kFull);
  EXPECT_EQ(none.at("recompute_flops"), 0);
  EXPECT_GT(full.at("recompute_flops"), 0);
  EXPECT_LT(full.at("recompute_flops"), full.at("forward_flops"));
  EXPECT_EQ(none.at("forward_flops"), full.at("forward_flops"));
  EXPECT_LT(full.at("activation_peak_bytes"), none.at("activation_peak_bytes"));

  const Exit text = run_trainer(arguments("plan", settings("run") + kFull));
  EXPECT_THAT(text.out, AllOf(HasSubstr("recompute per step: "), HasSubstr("% of the ")));
}

// --- Residuals -----------------------------------------------------------------------------------------------------

// The configuration of the repository; a vocabulary that is known needs no data.
const Settings kKnownVocab{"model.vocab=256", "data.train=/nowhere"};
const std::vector<std::string> kGpt{"--config", std::string(RETAPE_CONFIGS) + "/gpt.toml"};
constexpr int kLayers = 6;

TEST_F(Plan, OfFullKeepsOneValueOfEachBlock) {
  const json plan = as_json(kKnownVocab + kFull, kGpt);
  for (int layer = 0; layer < kLayers; ++layer) {
    const std::string region = "h." + std::to_string(layer);
    const std::vector<json> kept = residuals(plan, region, "kept");
    ASSERT_EQ(kept.size(), 1U) << region;
    EXPECT_EQ(kept.front().at("shape"), json({16, 128, 192}));  // [B, T, C]
    EXPECT_EQ(kept.front().at("dtype"), "f32");
    EXPECT_EQ(kept.front().at("bytes"), Bytes{16} * 128 * 192 * 4);
    EXPECT_GT(residuals(plan, region, "recomputed").size(), 5U);
  }
}

TEST_F(Plan, OfNoneKeepsAll) {
  const json plan = as_json(kKnownVocab, kGpt);
  for (const json& value : plan.at("residuals")) {
    EXPECT_EQ(value.at("what"), "kept") << value;
  }
  EXPECT_EQ(plan.at("slab_bytes"), 0);
  EXPECT_EQ(plan.at("host_peak_bytes"), 0);
}

TEST_F(Plan, SaysWhereAStoreHasThem) {
  const json offloaded = as_json(settings("run") + kFull + Settings{"activation_checkpointing.cpu_checkpointing=true"});
  EXPECT_EQ(residuals(offloaded, "h.0", "offloaded").size(), 1U);
  EXPECT_EQ(residuals(offloaded, "h.0", "kept").size(), 0U);
  EXPECT_GT(offloaded.at("host_peak_bytes"), 0);

  const json contiguous =
      as_json(settings("run") + kFull + Settings{"activation_checkpointing.contiguous_memory_optimization=true"});
  EXPECT_EQ(residuals(contiguous, "h.1", "contiguous").size(), 1U);
  EXPECT_GE(contiguous.at("slab_bytes"), 2 * Bytes{4} * 16 * 32 * 4);  // two blocks' [B, T, C]
  EXPECT_EQ(contiguous.at("by_tag").at("checkpoints"), contiguous.at("slab_bytes"));
}

TEST_F(Plan, OffloadedValuesTakeNothingOnTheDevice) {
  const Exit text = run_trainer(
      arguments("plan", settings("run") + kFull + Settings{"activation_checkpointing.cpu_checkpointing=true"}));
  EXPECT_THAT(text.out, testing::ContainsRegex("on the device +0 B  of "));
}

TEST_F(Plan, ListsRegionsThatLookTheSameOnce) {
  const Exit full = run_trainer(arguments("plan", kKnownVocab + kFull, kGpt));
  EXPECT_TRUE(full.ok()) << full.err;
  EXPECT_THAT(full.out, AllOf(HasSubstr("\nh.1 .. h.5\n"), HasSubstr("\noutside regions\n"), Not(HasSubstr("\nh.2"))));

  const Exit every_second =
      run_trainer(arguments("plan", kKnownVocab + kFull + Settings{"activation_checkpointing.layers=2"}, kGpt));
  EXPECT_THAT(every_second.out, AllOf(HasSubstr("\nh.1, h.3 .. h.5\n"), HasSubstr("\nh.2, h.4\n")));
}

// --- What it needs -------------------------------------------------------------------------------------------------

TEST_F(Plan, NeedsNeitherFileNorDataForAPreset) {
  const Exit text = run_trainer(arguments("plan", {"model.preset=gpt2-xl"}));
  EXPECT_TRUE(text.ok()) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("optimizer"), HasSubstr("\nh.1 .. h.47\n"), HasSubstr("[16, 1024, 6400]")));
  EXPECT_LT(lines_of(text.out).size(), 60U) << "a screen";
}

TEST_F(Plan, NeedsTheDataWhereTheVocabularyIsNotKnown) {
  expect_refused(run_trainer(arguments("plan", {})), "[data] train: expected a path or a pattern, got none");
  const json plan = as_json(settings("run") + Settings{"data.tokenizer=char"});
  EXPECT_EQ(residuals(plan, "h.0", "kept").size(), 13U);
}

TEST_F(Plan, TakesTheConfigurationThatARunLeft) {
  const Settings store{"activation_checkpointing.policy=full", "activation_checkpointing.cpu_checkpointing=true"};
  train("run", store);
  const std::vector<std::string> own{"--config", (out_dir("run") / "config.toml").string()};
  EXPECT_EQ(as_json({}, own), as_json(settings("run") + store));
}

TEST_F(Plan, FailsWhereTheRunWouldNotFit) {
  for (const std::vector<std::string>& form : {std::vector<std::string>{}, std::vector<std::string>{"--json"}}) {
    expect_refused(run_trainer(arguments("plan", {"model.preset=gpt2", "run.memory_limit=2GiB"}, form)),
                   "run.memory_limit: expected at least ");
  }
  EXPECT_TRUE(run_trainer(arguments("plan", settings("run") + Settings{"run.memory_limit=1GiB"})).ok());
}

TEST_F(Plan, RefusesNamesThatTheModelDoesNotHave) {
  expect_refused(run_trainer(arguments("plan", settings("run") + Settings{"activation_checkpointing.policy=selective",
                                                                          "activation_checkpointing.recompute=gelo"})),
                 "got gelo");
}

}  // namespace
}  // namespace retape::integration
