#include "trainer/config_checks.h"

#include <gmock/gmock.h>

#include "tests/unit/trainer/config_case.h"
#include "trainer/config/warnings.h"
#include "trainer/config_reader.h"
#include "trainer/config_writer.h"

namespace retape::trainer {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class ConfigChecks : public ConfigCase {};

void expect_shape(const Config& config, std::array<std::int64_t, 5> layers_heads_dim_seq_len_vocab) {
  const Config::Model& model = config.model;
  EXPECT_EQ((std::array{model.layers, model.heads, model.dim, model.seq_len, model.vocab}),
            layers_heads_dim_seq_len_vocab);
}

TEST_F(ConfigChecks, PresetsFillInTheShape) {
  expect_shape(set({"model.preset=gpt2"}), {12, 12, 768, 1024, 50257});
  expect_shape(set({"model.preset=gpt2-medium"}), {24, 16, 1024, 1024, 50257});
  expect_shape(set({"model.preset=gpt2-large"}), {36, 20, 1280, 1024, 50257});
  expect_shape(set({"model.preset=gpt2-xl"}), {48, 25, 1600, 1024, 50257});
}

TEST_F(ConfigChecks, KeysThatAreSetWinOverThePreset) {
  expect_shape(load("[model]\nseq_len = 64\npreset = \"gpt2\"\n", {"model.layers=2"}), {2, 12, 768, 64, 50257});
}

TEST_F(ConfigChecks, WithoutValidationDataEvaluationIsOffUnlessAskedFor) {
  EXPECT_EQ(set({"data.val_fraction=0"}).train.eval_every, 0);
  EXPECT_EQ(set({"data.val_fraction=0", "data.val=v.txt"}).train.eval_every, Config().train.eval_every);
  EXPECT_EQ(refusal_of_set({"data.val_fraction=0", "train.eval_every=5"}),
            "--set train.eval_every=5: train.eval_every: expected 0 without validation data (data.val, "
            "data.val_fraction), got 5");
}

// What a shipped configuration says of another choice stands beside one that --set makes.
TEST_F(ConfigChecks, OtherChoicesOfValidationDataAndScheduleNeedNoUnsetting) {
  EXPECT_EQ(set({"data.val_fraction=0.2", "data.val=v.txt"}).data.val, std::vector<std::string>{"v.txt"});
  EXPECT_EQ(set({"optimizer.min_lr=1e-4", "optimizer.schedule=constant"}).optimizer.min_lr, 1e-4);
}

TEST_F(ConfigChecks, HeadsDivideDim) {
  EXPECT_EQ(refusal("[model]\nheads = 6\ndim = 100\n"),
            "gpt.toml:3:7: model.dim: expected a multiple of model.heads = 6, got 100");
  EXPECT_EQ(refusal("[model]\ndim = 128\nheads = 4\n", {"model.heads=5"}),
            "--set model.heads=5: model.dim: expected a multiple of model.heads = 5, got 128");
  EXPECT_THAT(refusal("[model]\nheads = 5\n"), StartsWith("gpt.toml:2:9: model.dim: "));
}

TEST_F(ConfigChecks, TokensOfAMicroStepFitThirtyTwoBits) {
  EXPECT_THAT(refusal_of_set({"train.batch_size=4194304", "model.seq_len=1024"}),
              HasSubstr("train.batch_size: expected at most 2097151 sequences of model.seq_len = 1024, got 4194304"));
}

TEST_F(ConfigChecks, TheCosineNeedsAWayDown) {
  EXPECT_EQ(refusal("[optimizer]\nlr = 1e-4\nmin_lr = 1e-3\n"),
            "gpt.toml:3:10: optimizer.min_lr: expected at most optimizer.lr = 0.0001, got 0.001");
}

TEST_F(ConfigChecks, AWarmUpPastTheEndIsAWarning) {
  const auto warnings = [](const std::vector<std::string>& settings) { return warnings_of_training(set(settings)); };
  for (const std::string schedule : {"optimizer.schedule=cosine", "optimizer.schedule=constant"}) {
    EXPECT_THAT(
        warnings({schedule, "train.steps=3", "optimizer.warmup_steps=100"}),
        ElementsAre("optimizer.warmup_steps = 100 reaches to the end of train.steps = 3: the ramp is cut there, "
                    "and the learning rate never gets to optimizer.lr"));
    EXPECT_EQ(warnings({schedule, "train.steps=3", "optimizer.warmup_steps=3"}).size(), 1U);
    EXPECT_THAT(warnings({schedule, "train.steps=3", "optimizer.warmup_steps=2"}), IsEmpty());
  }
}

TEST_F(ConfigChecks, MoreThreadsThanCoresAreAWarning) {
  EXPECT_THAT(warnings_of(set({"run.threads=4096"}), 2), ElementsAre(HasSubstr("4096 is more than this machine's 2")));
  EXPECT_THAT(warnings_of(set({"run.threads=2"}), 2), IsEmpty());
  EXPECT_THAT(warnings_of(set({}), 2), IsEmpty());
  EXPECT_THAT(warnings_of(set({"run.threads=4096"}), 0), IsEmpty());  // who knows
}

TEST_F(ConfigChecks, ANameIsThatOfAFolder) {
  EXPECT_EQ(refusal("[run]\nname = \"a/b\"\n"),
            "gpt.toml:2:8: run.name: expected the name of a folder, without \"/\", got \"a/b\"; run.out_dir takes a "
            "path");
  for (const char* name : {"/", "..", ".", "../x"}) {
    EXPECT_THAT(refusal_of_set({std::string("run.name=") + name}), HasSubstr("run.name: expected the name"));
  }
  EXPECT_EQ(set({"run.name=a.b"}).run.out_dir, "runs/a.b");
}

TEST_F(ConfigChecks, ProductsOfSizesDoNotOverflow) {
  EXPECT_THAT(refusal_of_set({"model.layers=4096", "model.dim=1048576", "model.heads=1"}),
              AllOf(StartsWith("--set model.dim=1048576: expected a step that takes less than 2^62 bytes"),
                    HasSubstr("model.layers = 4096, dim = 1048576")));
  EXPECT_THAT(refusal_of_set({"train.grad_accum=16777216", "train.batch_size=16777215"}), HasSubstr("2^62 FLOPs"));
  EXPECT_THAT(refusal_of_set({"model.seq_len=16777216", "train.batch_size=100", "train.grad_accum=1000000"}),
              HasSubstr("2^62"));
  // Of the size of GPT-3, three million tokens a step.
  EXPECT_EQ(set({"model.layers=96", "model.dim=12288", "model.heads=96", "model.seq_len=2048", "model.vocab=50257",
                 "train.batch_size=8", "train.grad_accum=195"})
                .model.layers,
            96);
}

TEST_F(ConfigChecks, ParallelSettingsFitTogether) {
  EXPECT_EQ(refusal_of_set({"parallel.tensor=4"}),
            "--set parallel.tensor=4: parallel.tensor: expected a divisor of model.heads = 6, got 4");
  EXPECT_THAT(refusal_of_set({"parallel.sequence=true"}), HasSubstr("expected parallel.tensor of at least 2"));
  EXPECT_THAT(refusal_of_set({"parallel.backend=self", "parallel.data=2"}), HasSubstr("for 2 ranks"));
}

TEST_F(ConfigChecks, SettingsOfAPolicyThatIsNoneAreNotIgnored) {
  EXPECT_EQ(refusal("[activation_checkpointing]\npolicy = \"none\"\ncpu_checkpointing = true\n"),
            "gpt.toml:3:21: activation_checkpointing.cpu_checkpointing: has no effect with "
            "activation_checkpointing.policy = \"none\"");
  EXPECT_THAT(refusal_of_set({"activation_checkpointing.layers=2"}), HasSubstr("has no effect with"));
  EXPECT_EQ(set({"activation_checkpointing.policy=none"}).activation_checkpointing.policy, CheckpointPolicy::none);
}

TEST_F(ConfigChecks, SettingsThatAPolicyDoesNotHaveAreNotIgnored) {
  const auto refusal_with = [this](const std::vector<std::string>& settings) {
    return refusal_of_set(checkpointing_settings(settings));
  };
  EXPECT_EQ(
      refusal_with({"policy=full", "recompute=[\"gelu\"]"}),
      "--set activation_checkpointing.recompute=[\"gelu\"]: activation_checkpointing.recompute: has no effect with "
      "activation_checkpointing.policy = \"full\"");
  EXPECT_THAT(refusal_with({"policy=selective", "recompute=[\"gelu\"]", "layers=2"}),
              HasSubstr("layers: has no effect"));
  EXPECT_THAT(refusal_with({"policy=selective"}), HasSubstr("recompute: expected names of ops or values"));
  EXPECT_THAT(refusal_with({"policy=full", "number_checkpoints=4"}),
              HasSubstr("has no effect with activation_checkpointing.contiguous_memory_optimization = false"));
  EXPECT_THAT(refusal_with({"policy=full", "host_memory_limit=1GiB"}),
              HasSubstr("has no effect with activation_checkpointing.cpu_checkpointing = false"));
}

TEST_F(ConfigChecks, APolicyThatACommandBringsReplacesTheConfigurations) {
  const auto studied = [](const std::vector<std::string>& settings) {
    return load_config({}, checkpointing_settings(settings), PolicyOf::command).activation_checkpointing;
  };
  EXPECT_TRUE(studied({"cpu_checkpointing=true"}).cpu_checkpointing);
  EXPECT_TRUE(studied({"policy=none", "partition_activations=true"}).partition_activations);
  EXPECT_TRUE(studied({"policy=selective", "profile=true"}).profile);
  EXPECT_TRUE(studied({"policy=block", "layers=2", "profile=true"}).profile);
  EXPECT_THROW(studied({"number_checkpoints=4"}), ConfigError);
  EXPECT_THROW(studied({"policy=full", "host_memory_limit=1GiB"}), ConfigError);
}

TEST_F(ConfigChecks, EveryKeyOfActivationCheckpointingIsRead) {
  Config config;
  ConfigOrigins origins;
  for (const char* setting :
       {"policy=uniform", "layers=3", "recompute=[\"gelu\", \"attention\"]", "deepspeed_config=ds.json",
        "partition_activations=true", "cpu_checkpointing=true", "contiguous_memory_optimization=true",
        "number_checkpoints=4", "synchronize_checkpoint_boundary=true", "profile=true", "host_memory_limit=1GiB"}) {
    read_override(std::string("activation_checkpointing.") + setting, config, origins);
  }
  const Config::ActivationCheckpointing expected{
      CheckpointPolicy::uniform, 3, {"gelu", "attention"}, "ds.json", true, true, true, 4, true, true, 1_GiB};
  EXPECT_EQ(config.activation_checkpointing, expected);
}

TEST_F(ConfigChecks, KeysGoBeforeTheDeepSpeedFileWhichGoesBeforeDefaults) {
  const std::filesystem::path json = folder() / "ds.json";
  std::ofstream(json) << R"({"train_batch_size": 8, "activation_checkpointing": {"partition_activations": true,
                             "contiguous_memory_optimization": true, "number_checkpoints": 4, "profile": true}})";
  const Config::ActivationCheckpointing read =
      set({"activation_checkpointing.policy=full", "activation_checkpointing.deepspeed_config=" + json.string(),
           "activation_checkpointing.number_checkpoints=7", "activation_checkpointing.profile=false"})
          .activation_checkpointing;
  EXPECT_TRUE(read.partition_activations);
  EXPECT_TRUE(read.contiguous_memory_optimization);
  EXPECT_FALSE(read.cpu_checkpointing);
  EXPECT_EQ(read.number_checkpoints, 7);
  EXPECT_FALSE(read.profile);
}

class DeepSpeedFile : public ConfigCase {
 protected:
  std::vector<std::string> settings_with(std::string_view text, const std::vector<std::string>& more) const {
    const std::filesystem::path json = folder() / "ds.json";
    std::ofstream(json) << text;
    std::vector<std::string> settings{"activation_checkpointing.policy=full",
                                      "activation_checkpointing.deepspeed_config=" + json.string()};
    for (const std::string& setting : more) {
      settings.push_back("activation_checkpointing." + setting);
    }
    return settings;
  }
  Config::ActivationCheckpointing read(std::string_view text, const std::vector<std::string>& more = {}) const {
    return set(settings_with(text, more)).activation_checkpointing;
  }
  std::string refusal_of_file(std::string_view text, const std::vector<std::string>& more = {}) const {
    return refusal_of_set(settings_with(text, more));
  }
};

TEST_F(DeepSpeedFile, SaysSomething) {
  const std::string expected = "ds.json: activation_checkpointing: expected a section with settings, got none";
  EXPECT_EQ(refusal_of_file(R"({"train_batch_size": 8})"), expected);
  EXPECT_EQ(refusal_of_file(R"({"activation_checkpointing": {}})"), expected);
}

// A count without a buffer has no effect; most files that people share have it so.
TEST_F(DeepSpeedFile, IsTakenAsItIs) {
  constexpr std::string_view kTwoKeys =
      R"({"activation_checkpointing": {"partition_activations": true, "number_checkpoints": 4}})";
  EXPECT_TRUE(read(kTwoKeys).partition_activations);
  EXPECT_FALSE(read(kTwoKeys).contiguous_memory_optimization);
  EXPECT_EQ(read(kTwoKeys, {"contiguous_memory_optimization=true"}).number_checkpoints, 4);
  EXPECT_EQ(read(kTwoKeys, {"contiguous_memory_optimization=true", "number_checkpoints=0"}).number_checkpoints, 0);
  EXPECT_EQ(refusal_of_file(R"({"activation_checkpointing": {"number_checkpoints": 16385}})"),
            "ds.json: activation_checkpointing.number_checkpoints: expected an integer from 0 to 16384, got 16385");

  // What has no effect is not written, so that the settings in force can be read back.
  const Config config = set(settings_with(kTwoKeys, {}));
  Config::ActivationCheckpointing in_force = config.activation_checkpointing;
  in_force.number_checkpoints = 0;
  in_force.deepspeed_config.clear();
  EXPECT_EQ(load(to_toml(config)).activation_checkpointing, in_force);
}

TEST_F(DeepSpeedFile, MayListItsDefaults) {
  Config::ActivationCheckpointing read_back = read(R"({"activation_checkpointing": {
      "partition_activations": false, "cpu_checkpointing": false, "contiguous_memory_optimization": false,
      "number_checkpoints": null, "synchronize_checkpoint_boundary": false, "profile": false}})");
  read_back.deepspeed_config.clear();
  EXPECT_EQ(read_back, (Config::ActivationCheckpointing{.policy = CheckpointPolicy::full}));
  EXPECT_EQ(read(R"({"activation_checkpointing": {"number_checkpoints": null}})").number_checkpoints, 0);
}

TEST_F(ConfigChecks, WhatThisVersionCannotDoIsSaid) {
  EXPECT_EQ(refusal("[activation_checkpointing]\npolicy = \"auto\"\n"),
            "gpt.toml:2:10: activation_checkpointing.policy: expected \"none\", \"full\", \"selective\", \"block\", "
            "\"uniform\" or \"nested\", got the string \"auto\"");
  EXPECT_THAT(refusal_of_set({"activation_checkpointing.memory_budget=6GiB"}),
              HasSubstr("unknown key \"memory_budget\" in [activation_checkpointing]"));
  EXPECT_EQ(refusal_of_set({"parallel.tensor=2"}),
            "--set parallel.tensor=2: parallel.tensor: 2 is not available in this version");
  EXPECT_EQ(refusal_of_set({"parallel.data=2"}),
            "--set parallel.data=2: parallel.data: 2 is not available in this version");
  EXPECT_EQ(refusal_of_set({"parallel.backend=nccl"}),
            "--set parallel.backend=nccl: parallel.backend: \"nccl\" is not available in this version");
}

TEST_F(ConfigChecks, NumbersAreInRangeInF32Too) {
  EXPECT_THAT(refusal_of_set({"optimizer.eps=1e-50"}), HasSubstr("expected a number above 0, got the number 1e-50"));
  EXPECT_THAT(refusal_of_set({"optimizer.lr=1e300"}), HasSubstr("optimizer.lr"));
  EXPECT_THAT(refusal_of_set({"model.dropout=0.99999999999"}), HasSubstr("model.dropout"));
}

// 0 has a meaning of its own: no clipping, no decay, no dropout, no validation.
TEST_F(ConfigChecks, NumbersThatAreNotZeroAreNotZeroInF32) {
  for (const char* key : {"model.dropout", "data.val_fraction", "optimizer.lr", "optimizer.min_lr", "optimizer.eps",
                          "optimizer.weight_decay", "optimizer.grad_clip"}) {
    for (const std::string number : {"1e-46", "5e-324"}) {
      const testing::Matcher<std::string> names_it =
          testing::AllOf(HasSubstr(std::string(key) + ": expected "),
                         HasSubstr("the number " + number + ", which is 0 in single precision"));
      EXPECT_THAT(refusal_of_set({fmt::format("{}={}", key, number)}), names_it);
      const std::string name = key;
      const std::size_t dot = name.find('.');
      EXPECT_THAT(refusal(fmt::format("[{}]\n{} = {}\n", name.substr(0, dot), name.substr(dot + 1), number)), names_it);
    }
  }
  EXPECT_THAT(refusal_of_set({"optimizer.betas=[1e-46, 0.9]"}), HasSubstr("got the number 1e-46, which is 0"));
  EXPECT_EQ(set({"optimizer.grad_clip=0"}).optimizer.grad_clip, 0);
  EXPECT_EQ(set({"optimizer.grad_clip=1e-45"}).optimizer.grad_clip, 1e-45);
}

}  // namespace
}  // namespace retape::trainer
