// A checkpoint whose checksums fit may still hold anything: every value is checked before it is used.
#include <gmock/gmock.h>

#include <functional>

#include "data/files/json.h"
#include "nn/base/error.h"
#include "tests/support/forged_checkpoint.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tensor_contents.h"
#include "trainer/config_loader.h"
#include "trainer/opened_run.h"
#include "trainer/run/saved_data.h"
#include "trainer/run_state.h"

namespace retape::trainer {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

class ForgedCheckpoint : public testing::Test {
 protected:
  ForgedCheckpoint() : original_(saved()) {}

  // A checkpoint like the original with another description, which `change` makes of the original's.
  Checkpoint forged(const std::function<void(json&)>& change) const {
    json description = json::parse(SafetensorsFile(original_.path()).metadata().at("retape_checkpoint"));
    change(description);
    return forged(description.dump());
  }
  Checkpoint forged(const std::string& description) const {
    const TensorContents contents(original_.file(), original_.tensors());
    forge_checkpoint(dir_ / "forged", description, contents.tensors());
    return Checkpoint(dir_ / "forged");
  }

  // Everything that a run reads of a checkpoint.
  void use(const Checkpoint& checkpoint) const {
    const std::int64_t vocab = saved_vocab(checkpoint);
    saved_tokenizer(checkpoint);
    saved_position(checkpoint);
    sampler_state(checkpoint);
    changed_settings(checkpoint, config_);
    changed_data(checkpoint, checkpoint.path(), {.fingerprint = data::Fingerprint()});
    require_can_go_on(checkpoint, config_);
    require_weights(config_, Checkpoint(checkpoint.path()), vocab, true);
    nn::Device device({.threads = 1});
    Learner learner(device, config_, vocab);
    restore_learner(checkpoint, learner);
  }

  // The message of the DataError, which is one line and begins with the file, without that.
  template <class Change>
  std::string refusal(const Change& change) const {
    try {
      use(forged(change));
    } catch (const DataError& error) {
      const std::string message = error.what();
      const std::string place = "[checkpoint] " + (dir_ / "forged").string() + ": ";
      EXPECT_THAT(message, AllOf(StartsWith(place), testing::Not(HasSubstr("\n"))));
      return message.substr(std::min(place.size(), message.size()));
    }
    return "";
  }

  // Of a description with this value in the place of the original's, which is of the state where it has such a key.
  std::string refusal_of(const std::string& key, const json& value) const {
    return refusal([&](json& description) {
      json& state = description.at("state");
      (state.contains(key) ? state : description).at(key) = value;
    });
  }

 private:
  Checkpoint saved() const {
    nn::Device device({.threads = 1});
    Learner learner(device, config_, 256);
    const data::Dataset dataset{.train = data::TokenStream("tokens", std::vector<data::Token>(100, 65)),
                                .tokenizer = data::make_byte_tokenizer(),
                                .fingerprint = data::Fingerprint()};
    const data::Sampler sampler(dataset.train, {.seed = 1, .batch_size = 1, .seq_len = 4});
    return Checkpoint(save_run(dir_ / "run", {.step = 0, .tokens = 0}, config_, learner, sampler, dataset));
  }

  TempDir dir_;
  Config config_ = load_config({}, std::vector<std::string>{"model.layers=1", "model.heads=2", "model.dim=8",
                                                            "model.seq_len=4", "data.train=text"});
  Checkpoint original_;
};

TEST_F(ForgedCheckpoint, IsUsedWhereNothingIsChanged) {
  EXPECT_EQ(refusal([](json&) {}), "");
}

TEST_F(ForgedCheckpoint, HasAStepInRange) {
  for (const char* value : {"-1", "18446744073709551615", "9223372036854775807", "1.0", "1e3", "true", "\"1\""}) {
    EXPECT_THAT(refusal_of("step", json::parse(value)),
                StartsWith("step: expected an integer from 0 to 1125899906842624, got "))
        << value;
  }
}

TEST_F(ForgedCheckpoint, CountsStepsAndTokensAlike) {
  EXPECT_EQ(refusal_of("optimizer_steps", 1'000'000'000'000'000'000),
            "state \"optimizer_steps\": expected an integer from 0 to 0, got 1000000000000000000");
  EXPECT_THAT(refusal_of("optimizer_steps", 0.0), HasSubstr("got 0.0"));
  EXPECT_THAT(refusal_of("tokens", -1), StartsWith("state \"tokens\": expected an integer from 0 to"));
  EXPECT_THAT(refusal([](json& description) {
                description["step"] = 5;
                description["state"]["optimizer_steps"] = 5;
                description["state"]["tokens"] = 4;
              }),
              HasSubstr("state \"tokens\": expected an integer from 5 to"));
}

TEST_F(ForgedCheckpoint, FitsItsTensors) {
  EXPECT_THAT(refusal_of("vocab", 1 << 24),
              AllOf(HasSubstr("state \"vocab\": expected the rows of transformer.wte.weight [256, 8], got 16777216")));
  for (const char* value : {"256.0", "-256", "0", "null", "18446744073709551615"}) {
    EXPECT_THAT(refusal_of("vocab", json::parse(value)), StartsWith("state \"vocab\": expected an integer")) << value;
  }
  for (const char* value : {"2.5", "2.0", "true", "-2", "4294967298"}) {
    EXPECT_THAT(refusal_of("heads", json::parse(value)), StartsWith("state \"heads\": expected an integer")) << value;
  }
  EXPECT_EQ(refusal_of("heads", 4), "heads: expected 2 as in the configuration's model, got 4");
  std::string vocabulary = "[";
  for (int i = 0; i < 257; ++i) {
    vocabulary += fmt::format("\"\\u{:04x}\",", 0x100 + i);
  }
  vocabulary.back() = ']';
  EXPECT_EQ(refusal_of("tokenizer", R"({"retape_tokenizer":1,"type":"char","vocabulary":)" + vocabulary + "}"),
            "tokenizer: expected at most the model's 256 tokens, got 257");
}

TEST_F(ForgedCheckpoint, ConvertsNothing) {
  for (const char* key : {"rng_seed", "rng_offset"}) {
    for (const char* value : {"-1", "1.0", "false", "[]"}) {
      EXPECT_THAT(refusal_of(key, json::parse(value)), HasSubstr("expected an integer from 0 to 2^64 - 1")) << value;
    }
  }
  EXPECT_THAT(refusal_of("evaluation_due", 1), HasSubstr("expected true or false, got 1"));
  EXPECT_THAT(refusal_of("data", "[1]"), HasSubstr("state \"data\": [data] fingerprint: expected a JSON object"));
  EXPECT_THAT(refusal_of("config", 1), HasSubstr("state \"config\": expected a text, got 1"));
  EXPECT_THAT(refusal_of("tokenizer", nullptr), HasSubstr("expected a text, got null"));
  for (const char* key : {"config", "vocab", "heads", "sampler", "rng_seed", "rng_offset", "optimizer_steps", "tokens",
                          "evaluation_due"}) {
    EXPECT_EQ(refusal([&](json& description) { description["state"].erase(key); }),
              fmt::format("state \"{}\": expected a value, found none", key));
  }
}

TEST_F(ForgedCheckpoint, HasADescription) {
  const std::string place = "retape_checkpoint:";
  EXPECT_EQ(refusal(std::string("{")), place + "1:2: expected JSON, got the end of the text");
  EXPECT_EQ(refusal(std::string(R"({"step":1,"step":1})")), place + "1:11: \"step\" is there twice");
  EXPECT_EQ(refusal(R"({"state":)" + std::string(87'500, '[')),
            place + "1:137: expected at most 128 levels of arrays and objects, got more");
  EXPECT_EQ(refusal(std::string("[]")), place + " expected a version, a step and a state, got an array of 0");
  EXPECT_EQ(refusal(std::string(R"({"version":2,"step":1,"state":[]})")),
            place + " expected a version, a step and a state, got an object of 3");
}

TEST_F(ForgedCheckpoint, HasDrawnTheRowsThatItsTokensAreOf) {
  const auto refusal_after = [&](const char* order, std::int64_t step, std::int64_t tokens, std::int64_t position) {
    return refusal([&](json& description) {
      json& state = description["state"];
      description["step"] = step;
      state["optimizer_steps"] = step;
      state["tokens"] = tokens;
      state["sampler"] = json{{"order", order}, {"seed", 1}, {"position", position}}.dump();
    });
  };
  EXPECT_EQ(refusal_after("random", 3, 24, 6), "");
  EXPECT_EQ(refusal_after("random", 3, 24, 0),
            "sampler: position: expected 6 to 6 after 24 tokens in rows of 4, got 0");
  for (const std::int64_t position : {std::int64_t{5}, std::int64_t{7}, std::int64_t{1} << 53}) {
    EXPECT_THAT(refusal_after("random", 3, 24, position), StartsWith("sampler: position: expected 6 to 6"));
  }
  for (const std::int64_t position : {1, 6}) {
    EXPECT_EQ(refusal_after("sequential", 3, 24, position), "");
  }
  for (const std::int64_t position : {0, 7}) {
    EXPECT_THAT(refusal_after("sequential", 3, 24, position), StartsWith("sampler: position: expected 1 to 6"));
  }
  for (const std::int64_t tokens : {8, 25}) {
    EXPECT_THAT(refusal_after("random", 3, tokens, tokens / 4),
                StartsWith("state \"tokens\": expected whole rows of 4"));
  }
}

TEST_F(ForgedCheckpoint, HasTheSeedOfItsRun) {
  EXPECT_EQ(refusal_of("sampler", R"({"order":"random","seed":2,"position":0})"),
            "sampler: seed: expected run.seed = 1, got 2");
  EXPECT_EQ(refusal_of("rng_seed", 2), "state \"rng_seed\": expected run.seed = 1, got 2");
}

TEST_F(ForgedCheckpoint, HasTheSettingsOfARun) {
  EXPECT_EQ(refusal_of("config", ""), "state \"config\": expected the settings of a run, found no run.seed");
  for (const char* text : {"3", "xxx", "seed = 1", "[run]\nxxx", "[run\nseed = 1"}) {
    EXPECT_THAT(refusal_of("config", text), StartsWith("state \"config\": expected the settings of a run, one in each"))
        << text;
  }
  EXPECT_THAT(refusal_of("config", "[run]\nseed = 1\n"), HasSubstr("found no model.init_from"));
  EXPECT_EQ(refusal([](json& description) {
              std::string config = description["state"]["config"];
              const std::size_t at = config.find("seed = 1");
              description["state"]["config"] = config.replace(at, 8, "seed = x");
            }),
            "state \"config\": run.seed: expected an integer, got \"x\"");
}

TEST_F(ForgedCheckpoint, HasASamplerInRange) {
  const auto refusal_of_sampler = [&](const std::string& text) {
    try {
      use(forged([&](json& description) { description["state"]["sampler"] = text; }));
    } catch (const DataError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(refusal_of_sampler(R"({"order":"random","seed":1,"position":-1})"), HasSubstr("position: expected"));
  EXPECT_THAT(refusal_of_sampler(R"({"order":"random","seed":1,"position":1.5})"), HasSubstr("position: expected"));
  EXPECT_THAT(refusal_of_sampler(R"({"order":"random","seed":1e999,"position":1})"), HasSubstr("1e999"));
  EXPECT_THAT(refusal_of_sampler(std::string(87'500, '[')), HasSubstr("128 levels"));
}

}  // namespace
}  // namespace retape::trainer
