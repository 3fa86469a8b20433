// The command line as people meet it: help, statuses, and what is said of words that are wrong.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "nn/base/version.h"
#include "tests/integration/training_case.h"

namespace retape::integration {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

const std::vector<std::string> kCommands{"train", "eval", "sample", "plan", "study", "prepare", "export", "doctor"};

// One line on stderr, and nothing on stdout.
std::string error_of(const std::vector<std::string>& words, int status) {
  const Exit exit = run_trainer(words);
  EXPECT_EQ(exit.status, status) << exit.err;
  EXPECT_THAT(exit.out, IsEmpty());
  EXPECT_EQ(lines_of(exit.err).size(), 1U) << exit.err;
  EXPECT_THAT(exit.err, AllOf(StartsWith("error: "), EndsWith("\n")));
  return exit.err;
}

TEST(CommandLine, HelpFitsATerminalAndShowsAnExampleStatusesAndSettings) {
  for (const std::string& command : kCommands) {
    const Exit exit = run_trainer({command, "--help"});
    EXPECT_TRUE(exit.ok());
    EXPECT_THAT(exit.err, IsEmpty());
    EXPECT_THAT(exit.out, AllOf(HasSubstr("usage: trainer " + command), HasSubstr("for example:\n  trainer " + command),
                                HasSubstr("128 + n")));
    const bool of_run = command != "prepare" && command != "doctor";
    EXPECT_EQ(exit.out.find("\n[activation_checkpointing]\n") != std::string::npos, of_run) << exit.out;
    EXPECT_THAT(exit.out, Not(HasSubstr("memory_budget")));
    for (const std::string& line : lines_of(exit.out)) {
      EXPECT_LE(line.size(), 80U) << line;
    }
  }
  const Exit all = run_trainer({"--help"});
  EXPECT_TRUE(all.ok());
  for (const std::string& command : kCommands) {
    EXPECT_THAT(all.out, HasSubstr("\n  " + command + "  "));
  }
  EXPECT_THAT(all.out,
              AllOf(HasSubstr("for example:\n  trainer --config configs/gpt.toml"), HasSubstr("  lr = 0.001 ")));
  EXPECT_THAT(run_trainer({"sample", "--help"}).out, AllOf(HasSubstr("--tokens N"), HasSubstr("default: 200")));
}

TEST(CommandLine, TellsItsVersion) {
  const Exit exit = run_trainer({"--version"});
  EXPECT_TRUE(exit.ok());
  EXPECT_EQ(exit.out, fmt::format("retape {}\n", kVersion));
}

TEST(CommandLine, WhatIsWrongWithItIsStatusTwo) {
  EXPECT_THAT(error_of({}, 2), AllOf(HasSubstr("expected a command, --config or --set"), HasSubstr("trainer --help")));
  EXPECT_THAT(error_of({"gpt.toml"}, 2), HasSubstr("did you mean --config gpt.toml?"));
  EXPECT_THAT(error_of({"train", "gpt.toml"}, 2), HasSubstr("did you mean --config gpt.toml?"));
  EXPECT_THAT(error_of({"model.dim=64"}, 2), HasSubstr("did you mean --set model.dim=64?"));
  EXPECT_THAT(error_of({"smaple", "--tokens", "5"}, 2), HasSubstr("did you mean \"sample\"?"));
  EXPECT_THAT(error_of({"sample", "eval"}, 2), HasSubstr("eval"));
  EXPECT_THAT(error_of({"sample", "--tokns", "5"}, 2), HasSubstr("did you mean \"--tokens\"?"));
  EXPECT_THAT(error_of({"sample", "--tokens"}, 2), HasSubstr("--tokens: expected one value"));
  EXPECT_THAT(error_of({"sample", "--tokens", "5", "--tokens", "6"}, 2), HasSubstr("--tokens: expected one value"));
  EXPECT_THAT(error_of({"--config", "a", "train", "--config", "b"}, 2), HasSubstr("got a and b"));
  EXPECT_THAT(error_of({"--config", ""}, 2), HasSubstr("--config: expected a string, not empty"));
  EXPECT_THAT(error_of({"sample", "--output", ""}, 2), HasSubstr("--output: expected a string, not empty"));
  EXPECT_THAT(error_of({"study", "--output="}, 2), HasSubstr("--output: expected"));
  EXPECT_THAT(error_of({"export"}, 2), HasSubstr("--output is required"));
  EXPECT_THAT(error_of({"prepare", "--input", "a", "--output", "b", "--format", "u32"}, 2), HasSubstr("\"u16\" or"));
}

TEST(CommandLine, NumbersAreTakenForWhatTheyAreOrNotAtAll) {
  const auto refused = [](const std::string& command, const std::string& option, const std::string& value) {
    EXPECT_THAT(error_of({command, option, value}, 2),
                AllOf(StartsWith("error: " + option + ": expected a"), HasSubstr("got \"" + value + "\"")));
  };
  for (const char* value : {"99999999999999999999", "", "-1", "1.5", "16777217", "ten", "0x10"}) {
    refused("sample", "--tokens", value);
  }
  refused("sample", "--seed", "-1");
  refused("sample", "--seed", "9223372036854775808");
  for (const char* value : {"9223372036854775808", "16777217", "-1"}) {
    refused("sample", "--top-k", value);
  }
  for (const char* value : {"nan", "inf", "1e400", "-1", ""}) {
    refused("sample", "--temperature", value);
  }
  refused("study", "--steps", "1");
  refused("study", "--steps", "99999999999999999999");
  refused("study", "--repeats", "0");
  EXPECT_THAT(error_of({"study", "--policies", "full:99999999999"}, 2), HasSubstr("--policies full:99999999999"));
  EXPECT_THAT(error_of({"study", "--policies", "auto"}, 2), HasSubstr("--policies: expected one of none, full"));
}

TEST(CommandLine, WhatIsWrongWithARunIsStatusOne) {
  EXPECT_THAT(error_of({"--set", "model.dim=x"}, 1), HasSubstr("--set model.dim=x"));
  EXPECT_THAT(error_of({"--config", "none.toml"}, 1), HasSubstr("none.toml"));
  EXPECT_THAT(error_of({"train"}, 1), HasSubstr("[data] train"));
  EXPECT_THAT(error_of({"--set", "activation_checkpointing.policy=auto"}, 1), HasSubstr("expected \"none\", \"full\""));
}

class ConsoleRun : public TrainingCase {};

TEST_F(ConsoleRun, AWarmUpLongerThanTheRunIsOneWarning) {
  for (const std::string schedule : {"constant", "cosine"}) {
    const Settings settings{"train.steps=3", "train.eval_every=0", "optimizer.warmup_steps=100",
                            "optimizer.schedule=" + schedule};
    const Exit exit = train(schedule, settings);
    EXPECT_EQ(lines_of(exit.err).size(), 1U) << exit.err;
    EXPECT_THAT(exit.err, StartsWith("warning: optimizer.warmup_steps = 100 reaches to the end of train.steps = 3"));
    EXPECT_EQ(metrics(schedule).back().at("lr"), 1e-3 * 3 / 101);
  }
}

TEST_F(ConsoleRun, MoreThreadsThanCoresAreOneWarning) {
  const Exit exit = train("many", {"run.threads=1000", "train.steps=1", "train.eval_every=0"});
  EXPECT_EQ(lines_of(exit.err).size(), 1U) << exit.err;
  EXPECT_THAT(exit.err, StartsWith("warning: run.threads = 1000 is more than this machine's "));
  for (const char* command : {"eval", "sample", "study"}) {  // of a run and data that are not there
    const Exit refused =
        run_trainer(arguments(command, settings("none") + Settings{"run.threads=1000", "data.train=/no"}));
    EXPECT_THAT(lines_of(refused.err),
                testing::ElementsAre(StartsWith("warning: run.threads = 1000 is more"), StartsWith("error: ")));
  }
}

TEST_F(ConsoleRun, TheEndSaysTheLossTheTimeAndThePlace) {
  const Exit exit = train("run", {"train.steps=3", "train.eval_every=0"});
  const std::string loss = fmt::format("loss {:.4f}", metrics("run").back().at("loss").get<double>());
  EXPECT_THAT(lines_of(exit.out).back(), AllOf(StartsWith(loss + " after step 3 of 3, in 0:"),
                                               EndsWith("; the run is in " + out_dir("run").string())));
}

TEST_F(ConsoleRun, NamesOfManyLinesAreOneLine) {
  const Exit exit = train("run", {"train.steps=1", "train.eval_every=0", "run.name=two\nlines"});
  EXPECT_THAT(exit.out, AllOf(HasSubstr("two\\x0alines: "), Not(HasSubstr("\nlines"))));
  const Exit sampled = run_trainer(arguments("sample", settings("run") + Settings{"train.steps=1"},
                                             {"--tokens", "3", "--output", path("two\nlines").string()}));
  EXPECT_TRUE(sampled.ok()) << sampled.err;
  EXPECT_EQ(lines_of(sampled.out).size(), 1U) << sampled.out;
}

// A terminal obeys what a path holds, unless it is escaped.
TEST_F(ConsoleRun, PathsAreNoCommandsForTheTerminal) {
  const std::string run = "\x1b[31mred";
  const Settings more{"train.steps=1", "train.eval_every=0"};
  const std::vector<Exit> exits{
      train(run, more),
      train(run, more + Settings{"train.steps=2"}),
      train(run, more + Settings{"train.resume=never"}),
      run_trainer(arguments("export", settings(run) + more, {"--output", path(run + ".safetensors").string()})),
      run_trainer({"prepare", "--input", path("text.txt").string(), "--output", path(run + ".bin").string()}),
      run_trainer(arguments("study", settings(run) + more, {"--steps", "2", "--policies", "none,full"}))};
  for (const Exit& exit : exits) {
    EXPECT_TRUE(exit.ok()) << exit.err;
    EXPECT_THAT(exit.out, AllOf(HasSubstr("\\x1b[31mred"), Not(HasSubstr("\x1b")))) << exit.out;
  }
}

// A byte tokenizer and hardly trained weights write any byte.
TEST_F(ConsoleRun, ASampleIsTextForPeopleUnlessBytesAreAskedFor) {
  const Exit trained =
      train("run", {"train.steps=1", "train.eval_every=0", "run.sample_tokens=300", "run.sample_prompt=\xc3\xa9"});
  const auto is_for_people = [](const std::string& text) {
    EXPECT_THAT(text, HasSubstr("\xEF\xBF\xBD"));
    EXPECT_THAT(text, HasSubstr("\\x"));
    for (const char c : text) {
      EXPECT_TRUE(c == '\n' || c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f)) << int{c};
    }
  };
  is_for_people(trained.out);
  const Settings settings = this->settings("run") + Settings{"train.steps=1"};
  const std::vector<std::string> options{"--tokens", "300", "--prompt", "\x1b[2J\xff"};
  const Exit shown = run_trainer(arguments("sample", settings, options));
  EXPECT_TRUE(shown.ok()) << shown.err;
  is_for_people(shown.out);
  EXPECT_THAT(shown.out, StartsWith("\\x1b[2J\xEF\xBF\xBD"));

  const Exit raw = run_trainer(arguments("sample", settings, options + Settings{"--raw"}));
  EXPECT_EQ(raw.out.size(), 5U + 300U);
  EXPECT_THAT(raw.out, StartsWith("\x1b[2J\xff"));
  const std::string file = path("sample.bin").string();
  const std::vector<std::string> to_file = options + Settings{"--output", file};
  EXPECT_EQ(run_trainer(arguments("sample", settings, to_file)).out, "305 bytes in " + file + "\n");
  EXPECT_TRUE(bytes_of(file) == raw.out);
  EXPECT_TRUE(run_trainer(arguments("sample", settings, to_file)).ok()) << "it is a sample's own file";
}

TEST_F(ConsoleRun, ASampleReplacesNothingOfOthers) {
  train("run", {"train.steps=1", "train.eval_every=0"});
  const std::string file = folder().write("mine.txt", "mine").string();
  const std::vector<std::string> words =
      arguments("sample", settings("run") + Settings{"train.steps=1"}, {"--tokens", "5", "--output", file});
  const Exit refused = run_trainer(words);
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, AllOf(HasSubstr(file), HasSubstr("--force")));
  EXPECT_EQ(bytes_of(file), "mine");
  EXPECT_TRUE(run_trainer(words + Settings{"--force"}).ok());
  EXPECT_EQ(bytes_of(file).size(), 6U);
}

}  // namespace
}  // namespace retape::integration
