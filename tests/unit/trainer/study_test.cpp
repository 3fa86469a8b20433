#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "nn/base/error.h"
#include "trainer/study_policies.h"
#include "trainer/study_report.h"

namespace retape::trainer {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string refusal_of(std::string_view list) {
  try {
    parse_policies(list);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(StudyPolicies, AreReadInOrder) {
  EXPECT_THAT(
      parse_policies("none,full,full:2,selective:layer_norm+gelu,block:3,uniform:4,nested:5,none"),
      ElementsAre(StudiedPolicy{.text = "none"}, StudiedPolicy{.text = "full", .policy = CheckpointPolicy::full},
                  StudiedPolicy{.text = "full:2", .policy = CheckpointPolicy::full, .layers = 2},
                  StudiedPolicy{.text = "selective:layer_norm+gelu",
                                .policy = CheckpointPolicy::selective,
                                .recompute = {"layer_norm", "gelu"}},
                  StudiedPolicy{.text = "block:3", .policy = CheckpointPolicy::block, .layers = 3},
                  StudiedPolicy{.text = "uniform:4", .policy = CheckpointPolicy::uniform, .layers = 4},
                  StudiedPolicy{.text = "nested:5", .policy = CheckpointPolicy::nested, .layers = 5},
                  StudiedPolicy{.text = "none"}));
}

TEST(StudyPolicies, UnknownNamesAreToldWhichThereAre) {
  const std::string names = "--policies: expected one of none, full, selective, block, uniform, nested, got ";
  EXPECT_EQ(refusal_of("full,ful"), names + "\"ful\"");
  EXPECT_EQ(refusal_of("auto"), names + "\"auto\"");
  EXPECT_EQ(refusal_of(""), names + "\"\"");
  EXPECT_EQ(refusal_of("none,,full"), names + "\"\"");
  EXPECT_EQ(refusal_of("none,"), names + "\"\"");
  EXPECT_EQ(refusal_of(" full"), names + "\" full\"");
  EXPECT_EQ(refusal_of(":2"), names + "\":2\"");
}

TEST(StudyPolicies, CountsAreThoseOfTheConfiguration) {
  for (const char* count : {"", "0", "-1", "2x", "x", " 2", "2.5", "+2", "4097", "99999999999999999999"}) {
    const std::string text = std::string("block:") + count;
    EXPECT_EQ(refusal_of(text),
              "--policies " + text + ": expected an integer from 1 to 4096 after the colon, got \"" + count + "\"");
  }
  EXPECT_EQ(parse_policies("full:4096").front().layers, 4096);
}

TEST(StudyPolicies, NamesAreWhatSelectiveNeeds) {
  for (const char* text : {"selective", "selective:", "selective:+gelu", "selective:gelu+", "selective:a++b"}) {
    EXPECT_THAT(refusal_of(text), StartsWith(std::string("--policies ") + text + ": expected names")) << text;
  }
  EXPECT_EQ(refusal_of("none:1"), "--policies none:1: expected nothing after none");
}

TEST(StudyPolicies, ReplaceOnlyWhatTheyAre) {
  Config config;
  config.run.seed = 7;
  Config::ActivationCheckpointing& activations = config.activation_checkpointing;
  activations = {.policy = CheckpointPolicy::block, .layers = 9, .recompute = {"x"}, .cpu_checkpointing = true};

  const Config none = with_policy(config, parse_policies("none").front());
  EXPECT_EQ(none.activation_checkpointing, Config::ActivationCheckpointing());
  EXPECT_EQ(none.run.seed, 7);

  const Config full = with_policy(config, parse_policies("full").front());
  EXPECT_EQ(full.activation_checkpointing,
            (Config::ActivationCheckpointing{.policy = CheckpointPolicy::full, .cpu_checkpointing = true}));
}

TEST(StudyReport, MedianIsTheMiddle) {
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({9, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 9, 2}), 3);
  EXPECT_THROW(median({}), Error);
}

TEST(StudyReport, FindsTheFirstStepThatDiffers) {
  const RunBits bits{.losses = {1, 2, 3}, .grad_hashes = {10, 20, 30}};
  EXPECT_EQ(first_difference(bits, bits), std::nullopt);
  EXPECT_EQ(first_difference(bits, {.losses = {1, 2, 3}, .grad_hashes = {10, 21, 31}}), 1);
  EXPECT_EQ(first_difference(bits, {.losses = {1, 2, 3.5}, .grad_hashes = {10, 20, 30}}), 2);
}

// Two policies of which the second is slower, smaller, not as predicted and, at step 1, wrong.
StudyFindings findings() {
  nn::MemoryStats large{.peak = 4096, .activation_peak = 2048};
  large.at_peak_by_tag[static_cast<std::size_t>(nn::Tag::activations)] = 2048;
  nn::MemoryStats small{.peak = 3072, .activation_peak = 1024};
  nn::MemoryStats expected = small;
  constexpr auto kRecompute = static_cast<std::size_t>(nn::Tag::recompute);
  expected.at_peak_by_tag[kRecompute] = 1024;
  small.at_peak_by_tag[kRecompute] = 512;
  return {.steps = 3,
          .repeats = 1,
          .policies = {{.policy = "none",
                        .predicted = large,
                        .measured = large,
                        .step_ms = {10, 8},
                        .recompute_share = {0, 0},
                        .bits = {.losses = {3, 2, 1}, .grad_hashes = {1, 2, 0xabc}}},
                       {.policy = "full:2",
                        .predicted = expected,
                        .measured = small,
                        .step_ms = {12, 15},
                        .recompute_share = {0.2, 0.3},
                        .bits = {.losses = {3, 2, 1}, .grad_hashes = {1, 7, 0xabc}},
                        .differs_at = 1}}};
}

TEST(StudyReport, NamesThePolicyAndTheStepThatDiffer) {
  StudyFindings found = findings();
  try {
    require_same_bits(found);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "[study] full:2: expected the loss and the gradients of none, got others at step 1");
  }
  found.policies.back().differs_at.reset();
  EXPECT_NO_THROW(require_same_bits(found));
}

TEST(StudyReport, IsATableACsvAndAJson) {
  const StudyFindings found = findings();
  const std::string table = study_table(found);
  EXPECT_THAT(table, AllOf(HasSubstr("full:2"), HasSubstr("1.50x"), HasSubstr("25.0%"), HasSubstr("no")));
  EXPECT_THAT(table, AllOf(ContainsRegex("\nnone +2.0 KiB +0 B\n"), ContainsRegex("\nfull:2 +0 B  1.0 KiB / 512 B$"),
                           Not(HasSubstr("gradients"))));

  const std::string csv = study_csv(found);
  EXPECT_THAT(csv, StartsWith("policy,predicted_peak_bytes,peak_bytes,activation_peak_bytes,"
                              "predicted_activations_bytes,activations_bytes,predicted_checkpoints_bytes,"));
  EXPECT_THAT(csv,
              AllOf(HasSubstr("\nnone,4096,4096,2048,2048,2048,0,0,"),
                    HasSubstr(",9.000,8.000,10.000,0.0000,1.0000,yes\n"), HasSubstr("\nfull:2,3072,3072,1024,0,0,"),
                    HasSubstr(",1024,512,"), HasSubstr(",13.500,12.000,15.000,0.2500,1.5000,no\n")));

  const nlohmann::json json = nlohmann::json::parse(study_json(found));
  EXPECT_EQ(json.at("steps"), 3);
  const nlohmann::json& full = json.at("policies").at(1);
  EXPECT_EQ(full.at("policy"), "full:2");
  EXPECT_EQ(full.at("spread"), 1.25);
  EXPECT_EQ(full.at("relative_time"), 1.5);
  EXPECT_EQ(full.at("same_bits"), false);
  EXPECT_EQ(full.at("grad_hashes").at(2), "0000000000000abc");
  EXPECT_EQ(json.at("policies").at(0).at("by_tag").at("activations"), 2048);
  EXPECT_EQ(full.at("predicted_by_tag").at("recompute"), 1024);
  EXPECT_EQ(full.at("by_tag").at("recompute"), 512);
}

TEST(StudyReport, SaysNothingWhereThereIsNothingToCompareWith) {
  StudyFindings alone = findings();
  alone.policies.pop_back();
  EXPECT_THAT(study_table(alone), AllOf(HasSubstr("       -  -\n"), Not(HasSubstr("yes"))));
  EXPECT_THAT(study_csv(alone), EndsWith(",0.0000,,\n"));
  const nlohmann::json once = nlohmann::json::parse(study_json(alone)).at("policies").at(0);
  EXPECT_TRUE(once.at("relative_time").is_null());
  EXPECT_TRUE(once.at("same_bits").is_null());

  alone.repeats = 2;  // which have bits to compare, but no other policy's time
  EXPECT_THAT(study_table(alone), HasSubstr("       -  yes\n"));
  EXPECT_EQ(nlohmann::json::parse(study_json(alone)).at("policies").at(0).at("same_bits"), true);
}

}  // namespace
}  // namespace retape::trainer
