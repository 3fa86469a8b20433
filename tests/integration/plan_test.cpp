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

TEST_F(Plan, SaysWhereThePeaksAre) {
  const json none = as_json(settings("run"));
  EXPECT_EQ(none.at("peak_at"), "forward of cross_entropy_head");
  EXPECT_THAT(none.at("activation_peak_at").get<std::string>(), HasSubstr("forward of "));
  const json full = as_json(settings("run") + kFull + Settings{"train.batch_size=64"});
  EXPECT_THAT(full.at("activation_peak_at").get<std::string>(), HasSubstr(", h."));

  const Exit text = run_trainer(arguments("plan", settings("run")));
  EXPECT_THAT(text.out, AllOf(HasSubstr("  in " + none.at("peak_at").get<std::string>() + "\n"),
                              HasSubstr(", in " + none.at("activation_peak_at").get<std::string>() + ")\n")));
}

TEST_F(Plan, SaysWhatItIsAbout) {
  const json plan = as_json(settings("run"));
  EXPECT_EQ(plan.at("model"), json({{"layers", 2}, {"heads", 2}, {"dim", 32}, {"vocab", 256}}));
  EXPECT_EQ(plan.at("grad_accum"), 2);
  EXPECT_EQ(plan.at("dtype"), "f32");
  EXPECT_EQ(plan.at("threads"), 2);
  for (const char* name : {"batch_size", "seq_len"}) {
    EXPECT_GT(plan.at(name), 0) << name;
  }
  for (const char* name : {"machine", "version"}) {
    EXPECT_NE(plan.at(name), "") << name;
  }
  EXPECT_THAT(plan.at("date").get<std::string>(), testing::MatchesRegex("20..-..-..T..:..:..Z"));
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

TEST_F(Plan, NeedsNothingThatIsNotThereYetWhereTheVocabularyIsKnown) {
  const Settings known{"model.vocab=256", "model.layers=1", "train.batch_size=1"};
  const std::string missing = path("not-yet-*.bin").string();
  for (const Settings& more : {Settings{"data.train=" + missing}, settings("run") + Settings{"data.val=" + missing},
                               Settings{"model.init_from=" + path("not-yet.safetensors").string()},
                               Settings{"data.train=" + missing, "run.sample_tokens=5", "data.format=u16"}}) {
    const Exit exit = run_trainer(arguments("plan", more + known));
    EXPECT_TRUE(exit.ok()) << exit.err;
  }
}

TEST_F(Plan, TakesTheConfigurationThatARunLeft) {
  const Settings store{"activation_checkpointing.policy=full", "activation_checkpointing.cpu_checkpointing=true"};
  train("run", store);
  const std::vector<std::string> own{"--config", (out_dir("run") / "config.toml").string()};
  json left = as_json({}, own);
  json given = as_json(settings("run") + store);
  left.erase("date");
  given.erase("date");
  EXPECT_EQ(left, given);
}

TEST_F(Plan, FailsWhereTheRunWouldNotFit) {
  for (const std::vector<std::string>& form : {std::vector<std::string>{}, std::vector<std::string>{"--json"}}) {
    expect_refused(run_trainer(arguments("plan", {"model.preset=gpt2", "run.memory_limit=2GiB"}, form)),
                   "run.memory_limit: expected at least ");
  }
  EXPECT_TRUE(run_trainer(arguments("plan", settings("run") + Settings{"run.memory_limit=1GiB"})).ok());
}

TEST_F(Plan, RunsNoMoreMicroStepsThanItHasTo) {
  const auto plan = [&](const std::string& micro_steps) {
    return as_json(settings("run") + Settings{"train.grad_accum=" + micro_steps});
  };
  json some = plan("3");
  json many = plan("16777216");
  EXPECT_EQ(many.at("forward_flops"), some.at("forward_flops").get<std::int64_t>() / 3 * 16777216);
  for (json* one : {&some, &many}) {
    for (const char* name : {"forward_flops", "grad_accum", "date"}) {
      one->erase(name);
    }
  }
  EXPECT_EQ(many, some);
}

TEST_F(Plan, HashesNoGradients) {
  const json plan = as_json({"run.hash_gradients=true", "model.dim=1048576", "model.heads=1024", "model.vocab=50257"});
  EXPECT_GT(plan.at("peak_bytes"), std::int64_t{1} << 47);
}

TEST_F(Plan, TriesLessWhereAModelIsDeep) {
  expect_refused(
      run_trainer(arguments("plan", kKnownVocab + Settings{"model.layers=4096", "run.memory_limit=1GiB"}, kGpt)),
      "a much smaller train.batch_size may fit");
  expect_refused(run_trainer(arguments("plan", {"model.layers=4097"})), "from 1 to 4096");
}

TEST_F(Plan, LooksAtNoMoreOfABatchThanItHasTo) {
  for (const char* dtype : {"f32", "bf16"}) {
    const json plan = as_json(kKnownVocab + Settings{"train.batch_size=16777216", "model.seq_len=100", "model.heads=1",
                                                     std::string("model.dtype=") + dtype});
    EXPECT_GT(plan.at("peak_bytes"), std::int64_t{1} << 40);
  }
}

// One region of all layers, and a search with stores.
TEST_F(Plan, OfADeepModelTakesLittleMemory) {
  const Surroundings little{.most_memory = 512_MiB};
  const Settings deep =
      kKnownVocab + Settings{"model.layers=4096", "model.heads=1", "model.dim=64", "model.seq_len=64"};
  const Exit one_region =
      run_trainer(arguments("plan", deep + Settings{"activation_checkpointing.policy=uniform",
                                                    "activation_checkpointing.layers=4096", "train.batch_size=1"}),
                  little);
  EXPECT_TRUE(one_region.ok()) << one_region.err;
  expect_refused(
      run_trainer(arguments("plan", deep + kFull +
                                        Settings{"activation_checkpointing.cpu_checkpointing=true",
                                                 "activation_checkpointing.contiguous_memory_optimization=true",
                                                 "run.memory_limit=1MiB", "train.batch_size=4096"}),
                  little),
      "run.memory_limit: expected at least ");
}

TEST_F(Plan, RefusesNamesThatTheModelDoesNotHave) {
  expect_refused(run_trainer(arguments("plan", settings("run") + Settings{"activation_checkpointing.policy=selective",
                                                                          "activation_checkpointing.recompute=gelo"})),
                 "got gelo");
}

}  // namespace
}  // namespace retape::integration
