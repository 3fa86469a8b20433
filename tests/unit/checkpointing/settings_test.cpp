#include "checkpointing/settings.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "nn/base/error.h"
#include "tests/support/temp_dir.h"

namespace retape::checkpointing {
namespace {

using ::testing::ThrowsMessage;

constexpr std::string_view kDefaults =
    "partition_activations=false contiguous_memory_optimization=false cpu_checkpointing=false number_checkpoints=0 "
    "slab_bytes=0 host_memory_limit=0 synchronize_checkpoint_boundary=false profile=false";

TEST(Settings, AreAllOff) {
  EXPECT_EQ(Settings{}.describe(), kDefaults);
}

TEST(Settings, TakeWhatIsSetAndKeepTheRest) {
  const Settings settings = apply(Settings{}, {.partition_activations = true,
                                               .contiguous_memory_optimization = true,
                                               .cpu_checkpointing = true,
                                               .number_checkpoints = 3,
                                               .slab_bytes = 4096,
                                               .host_memory_limit = 5,
                                               .synchronize_checkpoint_boundary = true,
                                               .profile = true});
  EXPECT_EQ(settings.describe(),
            "partition_activations=true contiguous_memory_optimization=true cpu_checkpointing=true "
            "number_checkpoints=3 slab_bytes=4096 host_memory_limit=5 synchronize_checkpoint_boundary=true "
            "profile=true");
  EXPECT_EQ(apply(settings, {}).describe(), settings.describe());
  EXPECT_EQ(apply(settings, {.partition_activations = false,
                             .contiguous_memory_optimization = false,
                             .cpu_checkpointing = false,
                             .number_checkpoints = 0,
                             .slab_bytes = 0,
                             .host_memory_limit = 0,
                             .synchronize_checkpoint_boundary = false,
                             .profile = false})
                .describe(),
            kDefaults);
}

TEST(Settings, RefuseNegativeNumbers) {
  EXPECT_THAT([] { check({.number_checkpoints = -1}); },
              ThrowsMessage<ConfigError>("[checkpointing] number_checkpoints: expected at least 0, got -1"));
  EXPECT_THAT([] { check({.slab_bytes = -2}); },
              ThrowsMessage<ConfigError>("[checkpointing] slab_bytes: expected at least 0, got -2"));
  EXPECT_THAT([] { check({.host_memory_limit = -3}); },
              ThrowsMessage<ConfigError>("[checkpointing] host_memory_limit: expected at least 0, got -3"));
  EXPECT_NO_THROW(check({}));
}

class DeepSpeedConfig : public ::testing::Test {
 protected:
  Settings read(std::string_view text) const {
    return apply(Settings{}, read_deepspeed_config(folder_.write("ds.json", text)));
  }
  // The message of the ConfigError, without the folder.
  std::string refusal(std::string_view text) const {
    folder_.write("ds.json", text);
    return refusal_of("ds.json");
  }
  std::string refusal_of(std::string_view name) const {
    try {
      read_deepspeed_config(folder_ / name);
    } catch (const ConfigError& error) {
      const std::string message = error.what();
      const std::string prefix = folder_.path().string() + "/";
      const std::size_t at = message.find(prefix);
      EXPECT_NE(at, std::string::npos) << message;
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      return std::string(message).erase(at, prefix.size());
    }
    ADD_FAILURE() << "accepted";
    return "";
  }
  // Of a section with this one entry.
  std::string refusal_of_entry(const std::string& entry) const {
    return refusal("{\"activation_checkpointing\": {" + entry + "}}");
  }

  TempDir folder_;
};

TEST_F(DeepSpeedConfig, ReadsAllSixKeysAndNoOtherSection) {
  const Settings settings = read(R"({
    "train_batch_size": 8,
    "zero_optimization": {"stage": 3, "profile": "not ours"},
    "activation_checkpointing": {
      "partition_activations": true,
      "cpu_checkpointing": true,
      "contiguous_memory_optimization": true,
      "number_checkpoints": 24,
      "synchronize_checkpoint_boundary": true,
      "profile": true
    }
  })");
  EXPECT_EQ(settings.describe(),
            "partition_activations=true contiguous_memory_optimization=true cpu_checkpointing=true "
            "number_checkpoints=24 slab_bytes=0 host_memory_limit=0 synchronize_checkpoint_boundary=true profile=true");
}

TEST_F(DeepSpeedConfig, SaysNothingOfKeysThatItDoesNotHave) {
  const Overrides overrides = read_deepspeed_config(
      folder_.write("ds.json", R"({"activation_checkpointing": {"profile": false, "cpu_checkpointing": true}})"));
  EXPECT_EQ(overrides.profile, false);
  EXPECT_EQ(overrides.cpu_checkpointing, true);
  EXPECT_FALSE(overrides.partition_activations || overrides.contiguous_memory_optimization ||
               overrides.number_checkpoints || overrides.synchronize_checkpoint_boundary || overrides.slab_bytes ||
               overrides.host_memory_limit);
}

TEST_F(DeepSpeedConfig, MayHaveNoSectionOrAnEmptyOne) {
  for (const std::string_view text : {"{}", R"({"train_batch_size": 8})", R"({"activation_checkpointing": {}})",
                                      R"({"activation_checkpointing": null})"}) {
    EXPECT_EQ(read(text).describe(), kDefaults);
    EXPECT_FALSE(has_deepspeed_section(folder_.write("ds.json", text)));
  }
  EXPECT_TRUE(has_deepspeed_section(folder_.write("ds.json", R"({"activation_checkpointing": {"profile": false}})")));
}

TEST_F(DeepSpeedConfig, TakesWholeNumbersHoweverTheyAreWritten) {
  for (const char* four : {"4", "4.0", "4e0", "0.4e1"}) {
    const std::string entry = fmt::format("\"number_checkpoints\": {}", four);
    EXPECT_EQ(read("{\"activation_checkpointing\": {" + entry + "}}").number_checkpoints, 4) << four;
  }
  for (const char* other : {"4.5", "0.0", "-4.0", "-4", "1e19", "9223372036854775808", "true"}) {
    EXPECT_THAT(refusal_of_entry(fmt::format("\"number_checkpoints\": {}", other)),
                testing::HasSubstr("number_checkpoints: expected an integer above 0 or null, got "))
        << other;
  }
}

TEST_F(DeepSpeedConfig, TakesNullForWhatIsNotSetAndFalseForNoCount) {
  EXPECT_EQ(read(R"({"activation_checkpointing": {
    "partition_activations": null, "cpu_checkpointing": null, "contiguous_memory_optimization": null,
    "number_checkpoints": null, "synchronize_checkpoint_boundary": null, "profile": null}})")
                .describe(),
            kDefaults);
  EXPECT_EQ(read(R"({"activation_checkpointing": {"number_checkpoints": false, "profile": false}})").describe(),
            kDefaults);
}

TEST_F(DeepSpeedConfig, IsReadAsItIs) {
  constexpr std::string_view kTwoKeys =
      R"({"activation_checkpointing": {"partition_activations": true, "number_checkpoints": 4}})";
  const std::string expected = read(kTwoKeys).describe();
  EXPECT_THAT(expected, ::testing::StartsWith("partition_activations=true contiguous_memory_optimization=false "));
  EXPECT_THAT(expected, ::testing::HasSubstr(" number_checkpoints=4 "));
  EXPECT_EQ(read(R"({
    # as people write them
    "optimizer": {"type": "AdamW", "params": {"lr": "auto", "betas": [0.9, 0.95,]}},  // trailing commas
    fp16: {enabled: auto
           loss_scale: 0},
    /* the section
       that counts */
    activation_checkpointing: {
      partition_activations: true  # keys without quotes, no comma
      "number_checkpoints": 4,
    },
  })")
                .describe(),
            expected);
}

TEST_F(DeepSpeedConfig, RefusesAnUnknownKeyAndNamesTheSix) {
  EXPECT_EQ(refusal_of_entry(R"("partition_activation": true)"),
            "ds.json: activation_checkpointing: unknown key \"partition_activation\"; expected one of "
            "partition_activations, cpu_checkpointing, contiguous_memory_optimization, number_checkpoints, "
            "synchronize_checkpoint_boundary, profile");
}

TEST_F(DeepSpeedConfig, RefusesOtherTypes) {
  for (const std::string key : {"partition_activations", "cpu_checkpointing", "contiguous_memory_optimization",
                                "synchronize_checkpoint_boundary", "profile"}) {
    for (const auto& [value, found] : {std::pair("1", "1"), std::pair("\"true\"", "\"true\""), std::pair("1.5", "1.5"),
                                       std::pair("[true]", "an array of 1"), std::pair("{}", "an object of 0")}) {
      EXPECT_EQ(refusal_of_entry(fmt::format(R"("{}": {})", key, value)),
                fmt::format("ds.json: activation_checkpointing.{}: expected true, false or null, got {}", key, found));
    }
  }
  for (const std::string value : {"true", "\"4\"", "1.5", "0", "-3", "[]", "1e30", "18446744073709551615"}) {
    EXPECT_THAT(refusal_of_entry("\"number_checkpoints\": " + value),
                ::testing::StartsWith(
                    "ds.json: activation_checkpointing.number_checkpoints: expected an integer above 0 or null, got "))
        << value;
  }
}

TEST_F(DeepSpeedConfig, RefusesSectionsAndFilesOfAnotherKind) {
  EXPECT_EQ(refusal(R"({"activation_checkpointing": true})"),
            "ds.json: activation_checkpointing: expected an object, got true");
  EXPECT_EQ(refusal("[]"), "ds.json: expected an object, got an array of 0");
}

TEST_F(DeepSpeedConfig, NamesThePlaceOfWhatItRefusesAnywhereInTheFile) {
  EXPECT_EQ(refusal(R"({"activation_checkpointing": {"profile": true)"),
            "ds.json:1:46: expected a key, got the end of the text");
  EXPECT_EQ(refusal("{\"fp16\": {\"a\": 1,\n \"a\": 2}}"), "ds.json:2:2: \"a\" is there twice");
  EXPECT_EQ(refusal("{\"fp16\":\n  [1e999]}"),
            "ds.json:2:4: expected a number that a double or 64 bits can hold, got \"1e999\"");
  EXPECT_EQ(refusal("{\"\xff\": 1}"),
            "ds.json:1:2: expected a string in UTF-8 with JSON's escapes, got \"\\\"\\ufffd\\\"\"");
  EXPECT_EQ(refusal(std::string(87'500, '[')),
            "ds.json:1:129: expected at most 128 levels of arrays and objects, got more");
}

TEST_F(DeepSpeedConfig, RefusesAFileThatIsNotThere) {
  EXPECT_EQ(refusal_of("missing.json"), "[file] missing.json: cannot open: No such file or directory");
}

TEST_F(DeepSpeedConfig, RefusesAFolder) {
  folder_.write("folder/file", "");
  EXPECT_EQ(refusal_of("folder"), "[file] folder: expected a file, got a directory");
}

}  // namespace
}  // namespace retape::checkpointing
