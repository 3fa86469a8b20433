#include "trainer/config_writer.h"

#include <gmock/gmock.h>

#include "tests/unit/trainer/config_case.h"
#include "trainer/config_reader.h"
#include "trainer/config_schema.h"

namespace retape::trainer {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// A value other than the default, with characters and digits that are easily lost.
struct Change {
  void operator()(const schema::Flag& field) const { *field.value = !*field.value; }
  void operator()(const schema::Integer& field) const { *field.value += 1; }
  void operator()(const schema::Number& field) const { *field.value = *field.value / 3 + 1e-17; }
  void operator()(const schema::NumberPair& field) const { *field.value = {1.0 / 3.0, 0.0}; }
  void operator()(const schema::Size& field) const { *field.value += 3_GiB + 1; }
  void operator()(const schema::Text& field) const { *field.value = "a\"b\\c\n\t\x01\x7f = # é"; }
  void operator()(const schema::TextList& field) const { *field.value = {"a b", "\"", "c,d]"}; }
  void operator()(const schema::Choice& field) const { field.set(field.names.size() - 1 - field.get()); }
};

// Gives a key of the table something to work on.
void put_in_force(std::string_view key, Config::ActivationCheckpointing& activations) {
  activations.policy = key == "recompute" ? CheckpointPolicy::selective : CheckpointPolicy::full;
  activations.contiguous_memory_optimization = key == "number_checkpoints";
  activations.cpu_checkpointing = key == "host_memory_limit";
}

class ConfigWriter : public ConfigCase {
 protected:
  // Reads the file without the checks of combinations.
  Config read_back(const Config& config) const {
    write(to_toml(config));
    Config again;
    ConfigOrigins origins;
    read_config_file(file(), again, origins);
    return again;
  }
};

TEST_F(ConfigWriter, LoadsBackAsTheSameConfig) {
  for (const std::vector<std::string>& overrides : std::vector<std::vector<std::string>>{
           {},
           {"model.preset=gpt2-xl", "model.layers=3"},
           {"data.val_fraction=0"},
           {"data.val=v.txt"},
           {"data.val=v.txt", "data.val_fraction=0"},
           {"optimizer.schedule=constant"},
           {"data.train=[\"a\", \"b\"]", "run.memory_limit=6GiB", "optimizer.lr=1", "optimizer.betas=[0, 0.1]"}}) {
    const Config config = set(overrides);
    EXPECT_EQ(load(to_toml(config)), config) << to_toml(config);
  }
}

TEST_F(ConfigWriter, EveryKeyKeepsItsValue) {
  const std::size_t count = [] {
    Config config;
    return schema::keys_of(config).size();
  }();
  for (std::size_t i = 0; i < count; ++i) {
    Config config;
    const schema::Key key = schema::keys_of(config)[i];
    if (key.name == "deepspeed_config") {
      continue;  // its settings are written
    }
    if (key.table == "activation_checkpointing") {
      put_in_force(key.name, config.activation_checkpointing);
    }
    const Config before = config;
    std::visit(Change{}, key.field);
    EXPECT_NE(config, before) << key.full_name();
    EXPECT_EQ(read_back(config), config) << key.full_name() << "\n" << to_toml(config);
  }
}

// A run's own config.toml is loaded with all checks.
TEST_F(ConfigWriter, EveryPolicyWithEveryStoreLoadsBack) {
  const std::vector<std::vector<std::string>> policies{{"policy=full"},
                                                       {"policy=full", "layers=2"},
                                                       {"policy=selective", "recompute=[\"gelu\", \"ln_1\"]"},
                                                       {"policy=block", "layers=3"},
                                                       {"policy=uniform", "layers=2"},
                                                       {"policy=nested", "layers=2"}};
  const std::vector<std::vector<std::string>> stores{{},
                                                     {"cpu_checkpointing=true"},
                                                     {"cpu_checkpointing=true", "host_memory_limit=1GiB"},
                                                     {"contiguous_memory_optimization=true"},
                                                     {"contiguous_memory_optimization=true", "number_checkpoints=4"},
                                                     {"cpu_checkpointing=true", "contiguous_memory_optimization=true"},
                                                     {"cpu_checkpointing=true", "host_memory_limit=1GiB",
                                                      "contiguous_memory_optimization=true", "number_checkpoints=4"}};
  const auto expect_back = [this](const std::vector<std::string>& settings) {
    const Config config = set(checkpointing_settings(settings));
    EXPECT_EQ(load(to_toml(config)), config) << to_toml(config);
  };
  expect_back({"policy=none"});
  for (const std::vector<std::string>& policy : policies) {
    for (const std::vector<std::string>& store : stores) {
      for (const char* partition : {"true", "false"}) {
        std::vector<std::string> settings = policy;
        settings.insert(settings.end(), store.begin(), store.end());
        settings.push_back(std::string("partition_activations=") + partition);
        expect_back(settings);
      }
    }
  }
}

TEST_F(ConfigWriter, WritesWhatDeepSpeedsFileSaysAndNotItsName) {
  const std::filesystem::path json = folder() / "ds.json";
  std::ofstream(json) << R"({"activation_checkpointing": {"cpu_checkpointing": true, "profile": true,
                             "contiguous_memory_optimization": true, "number_checkpoints": 4}})";
  Config config =
      set({"activation_checkpointing.policy=full", "activation_checkpointing.deepspeed_config=" + json.string()});
  std::filesystem::remove(json);
  const std::string text = to_toml(config);
  EXPECT_THAT(text, AllOf(HasSubstr("\nnumber_checkpoints = 4\n"), Not(HasSubstr("ds.json"))));
  config.activation_checkpointing.deepspeed_config.clear();
  EXPECT_EQ(load(text), config) << text;
}

TEST_F(ConfigWriter, IsPlainToRead) {
  const std::string text = to_toml(set({"run.memory_limit=6GiB", "optimizer.lr=1"}));
  EXPECT_THAT(text, HasSubstr("[run]\nname = \"gpt\"\nout_dir = \"runs/gpt\"\n"));
  EXPECT_THAT(text, HasSubstr("\nmemory_limit = \"6GiB\"\n"));
  EXPECT_THAT(text, HasSubstr("\nlr = 1.0\n"));
  EXPECT_THAT(text, HasSubstr("\nbetas = [0.9, 0.95]\n"));
  EXPECT_THAT(text, HasSubstr("\n[activation_checkpointing]\npolicy = \"none\"\n"));
  EXPECT_THAT(text, Not(HasSubstr("number_checkpoints")));
}

}  // namespace
}  // namespace retape::trainer
