// Whatever is wrong is said in one line, ends the program with an error, and costs nothing that was there.
#include <csignal>
#include <cstdio>
#include <limits>

#include "tests/integration/bad_input_case.h"
#include "tests/support/forged_checkpoint.h"
#include "tests/support/tensor_contents.h"
#include "trainer/checkpoint_files.h"

namespace retape::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

// --- Settings ------------------------------------------------------------------------------------------------------

TEST_F(BadInput, Settings) {
  expect_refusal_of({"model.lyers=2"}, {"--set model.lyers=2", "\"lyers\"", "\"layers\""});
  expect_refusal_of({"modle.layers=2"}, {"--set modle.layers=2", "\"model\""});
  expect_refusal_of({"model.layers=two"}, {"--set model.layers=two", "expected an integer", "two"});
  expect_refusal_of({"model.heads=3"}, {"model.dim", "model.heads = 3", "got 32"});
  expect_refusal_of({"run.device=cuda"}, {"[device] cuda"});
  expect_refusal_of({"parallel.tensor=2"}, {"parallel.tensor", "not available"});
  expect_refusal_of({"run.memory_limit=1KiB"}, {"run.memory_limit", "expected at least", "got 1.0 KiB"});
}

TEST_F(BadInput, ConfigurationFiles) {
  const std::string file = folder().write("gpt.toml", "[model]\nlayers = 2\n  lyers = 3\n").string();
  expect_refusal(arguments("", resumed(), {"--config", file}), {file + ":3:3", "\"lyers\"", "\"layers\""});
  folder().write("gpt.toml", "[train]\nsteps = \"many\"\n");
  expect_refusal(arguments("", resumed(), {"--config", file}), {file + ":2:", "train.steps", "integer"});
  folder().write("gpt.toml", "[train\nsteps = 3\n");
  expect_refusal(arguments("", resumed(), {"--config", file}), {file + ":1:"});
  expect_refusal({"--config", path("none.toml").string()}, {"none.toml", "No such file"});
  expect_refusal({"--config", folder().path().string()}, {folder().path().string()});
}

TEST_F(BadInput, Arguments) {
  expect_refusal({"--confg", "gpt.toml"}, {"--confg", "--help"});
  expect_refusal({"fly"}, {"fly"});
  expect_refusal({"export"}, {"--output"});
  expect_refusal(arguments("sample", resumed(), {"--temperature", "-1"}), {"--temperature", "got \"-1\""});
  expect_refusal(arguments("sample", resumed(), {"--prompt", ""}), {"[sample] prompt", "none"});
}

TEST_F(BadInput, SettingsOnBothSidesOfTheCommand) {
  const Settings before{"--set", "model.layers=2", "--set", "model.lyers=2"};
  expect_refusal(before + arguments("train", resumed()), {"--set model.lyers=2"});
  const std::string file = folder().write("gpt.toml", "[model]\nlayers = 2\n").string();
  expect_refusal({"--config", file, "train", "--config", file + "2"},
                 {"--config", "got " + file + " and " + file + "2"});
  expect_refusal(Settings{"--config", file} + arguments("train", resumed() + Settings{"model.layers=3"}), {"h.2."});
}

TEST_F(BadInput, NamesOfTwoLines) {
  expect_refusal_of_start({"data.train=" + path("two\nlines").string()}, {"two\\x0alines"});
  expect_refusal({"fly\naway"}, {"fly\\x0aaway"});
}

TEST_F(BadInput, MessagesQuoteALittleOfWhatIsLong) {
  const std::string name(100'000, 'n');
  const std::string shown = std::string(120, 'n') + "...";
  expect_refusal_of({"data.train=" + name}, {"[data] nnn", shown});
  expect_refusal_of({name + ".x=1"}, {"unknown table", "\"nnn", "...nnn"});
  expect_refusal_of({"model." + name + "=1"}, {"unknown key", "in [model]", "the names are preset, layers"});
  expect_refusal_of({"model.dim=" + name}, {"expected an integer from 1 to", "got the string \"nnn"});
  expect_refusal_of({"train.resume=" + name}, {"nnn"});
  expect_refusal_of_start({"model.init_from=" + name}, {"nnn"});
  expect_refusal_of_start({"run.out_dir=" + name}, {"nnn", "File name too long"});
  expect_refusal({"--config", name}, {"cannot read the configuration"});
  expect_refusal({name}, {shown});
  expect_refusal({"--" + name}, {"--nnn"});
  expect_refusal({"study", "--policies", name}, {"--policies", "nnn"});
  expect_refusal({"prepare", "--input", name, "--output", path("x").string()}, {"nnn"});
  expect_refusal_of_start({"data.train=" + std::string(50'000, '\n')}, {"[data] \\x0a"});
}

// --- Places that cannot be written ---------------------------------------------------------------------------------

TEST_F(BadInput, PlacesThatCannotBeWritten) {
  folder().write("file", "text");
  expect_refusal_of({"run.out_dir=" + path("file/run").string()}, {"[run] out_dir", "file/run", "Not a directory"});
  folder().write("new/checkpoints", "not a folder");
  expect_refusal_of_start({}, {"new/checkpoints", "Not a directory"});
  EXPECT_FALSE(std::filesystem::exists(path("new/metrics.jsonl")));
  std::filesystem::remove(path("new/checkpoints"));
  std::filesystem::create_directories(path("new/metrics.jsonl"));
  expect_refusal_of_start({}, {"new/metrics.jsonl", "directory"});
}

TEST_F(BadInput, AFolderThatAnotherProcessIsAtWorkIn) {
  const Settings longer{"train.steps=100000", "train.eval_every=0"};
  TrainerProcess first(arguments("", settings("busy") + longer));
  ASSERT_TRUE(wait_until(first, [&] { return rows_so_far("busy") >= 2; }));
  const std::string holder = lines_of(bytes_of(out_dir("busy") / ".retape.lock")).at(0);
  expect_refusal(arguments("", settings("busy") + longer),
                 {out_dir("busy").string() + "/.retape.lock", "process " + holder});
  first.send(SIGTERM);
  EXPECT_EQ(first.wait().status, 128 + SIGTERM);
  const std::string steps = std::to_string(trainer::list_checkpoints(checkpoints("busy")).front().step);
  train("busy", longer + Settings{"train.steps=" + steps});
}

TEST_F(BadInput, ADiskThatIsFullWhenSaving) {
  const Exit refused = run_trainer(arguments("", resumed()), {.largest_file = 20000});
  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(lines_of(refused.err).size(), 1U) << refused.err;
  EXPECT_THAT(refused.err, AllOf(HasSubstr("checkpoints/save-000003-step-00000008"), HasSubstr("cannot write"),
                                 HasSubstr("File too large")));
  for (const auto& [file, bytes] : before()) {
    if (file.ends_with(".safetensors")) {
      EXPECT_TRUE(bytes_of(file) == bytes) << file;
    }
  }
  EXPECT_EQ(contents_of(checkpoints("run")).size(), 2U);

  const Exit after = run_trainer(arguments("", resumed()));
  EXPECT_TRUE(after.ok()) << after.err;
  EXPECT_THAT(after.out, HasSubstr("goes on after step 4"));
  train("unhindered", {"optimizer.schedule=constant"});
  EXPECT_EQ(metrics("run").back(), metrics("unhindered").back());
}

TEST_F(BadInput, ADiskThatIsFullWhenMetricsGrow) {
  const Settings longer{"train.steps=30", "train.eval_every=0"};
  const Exit refused = run_trainer(arguments("", resumed() + longer), {.largest_file = 6000});
  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(lines_of(refused.err).size(), 1U) << refused.err;
  EXPECT_THAT(refused.err, AllOf(HasSubstr("[metrics]"), HasSubstr("metrics.jsonl"), HasSubstr("File too large")));

  const Exit after = run_trainer(arguments("", resumed() + longer));
  EXPECT_TRUE(after.ok()) << after.err;
  EXPECT_THAT(after.out, HasSubstr("goes on after step 4"));
  EXPECT_EQ(metrics("run").back().at("step"), 29);
}

TEST_F(BadInput, ClosedStreams) {
  train("open", {"train.resume=" + newest(), "optimizer.schedule=constant"});
  for (const std::vector<int>& closed : {std::vector{0}, std::vector{1}, std::vector{0, 1, 2}}) {
    const std::string run = "closed_" + std::to_string(closed.front()) + "_" + std::to_string(closed.back());
    const Settings settings = resumed() + Settings{"run.out_dir=" + out_dir(run).string(), "train.resume=" + newest()};
    const Exit exit = run_trainer(arguments("", settings), {.closed_streams = closed});
    EXPECT_TRUE(exit.ok()) << exit.err;
    EXPECT_THAT(exit.err, IsEmpty());
    expect_same_bits("open", run);  // no message has gone into a file
  }
}

TEST_F(BadInput, OutputThatGoesNowhere) {
  const std::vector<std::string> sample = arguments("sample", resumed(), {"--tokens", "5"});
  const std::string full = in_shell("", sample, " 2>&1 >/dev/full; echo $?");
  EXPECT_EQ(full, "error: [output] stdout: cannot be written: No space left on device\n1\n");
  EXPECT_THAT(in_shell("", {"--help"}, " 2>&1 >/dev/full; echo $?"), testing::EndsWith("No space left on device\n1\n"));
}

TEST_F(BadInput, AReaderWhoLeavesDoesNotEndTheTraining) {
  const std::string status = path("status").string();
  const std::string head = in_shell("{ ", arguments("", settings("unread") + Settings{"run.log_every=1"}),
                                    " 2>&1; echo $? >" + status + "; } | head -1");
  EXPECT_EQ(lines_of(head).size(), 1U) << head;
  EXPECT_EQ(bytes_of(status), "1\n");
  train("read");
  expect_same_bits("read", "unread");
}

// --- Numbers that are none -----------------------------------------------------------------------------------------

TEST_F(BadInput, WeightsThatAreNotNumbers) {
  const std::string file = path("weights.safetensors").string();
  ASSERT_TRUE(run_trainer(arguments("export", resumed(), {"--output", file})).ok());
  std::string bytes = bytes_of(file);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  bytes.replace(bytes.size() - sizeof nan, sizeof nan, reinterpret_cast<const char*>(&nan), sizeof nan);
  folder().write("weights.safetensors", bytes);
  expect_refusal_of_start({"model.init_from=" + file},
                          {"[train] step 1 of 8:", "expected a finite loss", "nan", "no checkpoint"});
}

TEST_F(BadInput, ALossThatStopsBeingANumber) {
  const std::string good = newest();
  const Settings explode{"optimizer.lr=1e30", "train.eval_every=0"};
  const Exit refused = run_trainer(arguments("", resumed() + explode));
  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(lines_of(refused.err).size(), 1U) << refused.err;
  EXPECT_THAT(refused.err, AllOf(HasSubstr("[train] step 6 of 8:"), HasSubstr("expected a finite loss"),
                                 HasSubstr("nan"), HasSubstr("the last good checkpoint is " + good)));
  EXPECT_TRUE(bytes_of(good) == before().at(good));

  const Exit after = run_trainer(arguments("", resumed() + Settings{"train.resume=" + good}));
  EXPECT_TRUE(after.ok()) << after.err;
  train("steady", {"optimizer.schedule=constant"});
  EXPECT_EQ(metrics("run").back(), metrics("steady").back());
}

// Weights of 1e30 are finite, but nothing that is computed from them is.
TEST_F(BadInput, WeightsThatAreNotWorthSaving) {
  const std::string good = newest();
  const Settings explode{"optimizer.lr=1e30", "train.save_every=1", "train.eval_every=0", "train.keep_last=1"};
  const Exit refused = run_trainer(arguments("", resumed() + explode));
  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(lines_of(refused.err).size(), 1U) << refused.err;
  EXPECT_THAT(refused.err, AllOf(HasSubstr("[train] save after step 5"), HasSubstr("finite loss, got"),
                                 HasSubstr("the last good checkpoint is " + good)));
  EXPECT_TRUE(bytes_of(good) == before().at(good));
  EXPECT_EQ(newest(), good);
  const Exit first = run_trainer(arguments("", settings("new") + explode + Settings{"train.steps=1"}));
  EXPECT_EQ(first.status, 1);
  EXPECT_THAT(first.err, AllOf(HasSubstr("[train] save after step 1"), HasSubstr("no checkpoint from before")));
  EXPECT_THAT(trainer::list_checkpoints(checkpoints("new")), IsEmpty());
}

// Its checksums fit what it holds.
TEST_F(BadInput, ACheckpointOfWeightsThatAreNotNumbersIsNotCalledGood) {
  const std::string good = trainer::list_checkpoints(checkpoints("run")).back().path.string();
  const trainer::SafetensorsFile file(newest());
  const TensorContents contents(file, std::span(file.tensors()).first(file.tensors().size() - 1));
  std::vector<trainer::NamedBytes> tensors = contents.tensors();
  const std::vector<float> nans(tensors.front().bytes.size() / sizeof(float), std::numeric_limits<float>::quiet_NaN());
  tensors.front().bytes = std::as_bytes(std::span(nans));
  forge_checkpoint(newest(), file.metadata().at("retape_checkpoint"), tensors);
  const Exit refused = run_trainer(arguments("", resumed() + Settings{"train.eval_every=0"}));
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err,
              AllOf(HasSubstr("[train] step 5 of 8:"), HasSubstr("the last good checkpoint is " + good + "\n")));
}

TEST_F(BadInput, AValidationLossThatIsNotANumber) {
  const std::string good = newest();
  const Settings explode{"optimizer.lr=1e30", "train.save_every=1", "train.eval_every=1", "train.keep_last=1"};
  const Exit refused = run_trainer(arguments("", resumed() + explode));
  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(lines_of(refused.err).size(), 1U) << refused.err;
  EXPECT_THAT(refused.err, AllOf(HasSubstr("[train] validation after step 5"), HasSubstr("expected a finite loss"),
                                 HasSubstr("the last good checkpoint is " + good)));
  EXPECT_TRUE(bytes_of(good) == before().at(good));
}

TEST_F(BadInput, AnEvaluationThatIsNotANumber) {
  const std::string file = path("weights.safetensors").string();
  ASSERT_TRUE(run_trainer(arguments("export", resumed(), {"--output", file})).ok());
  std::string bytes = bytes_of(file);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  bytes.replace(bytes.size() - sizeof nan, sizeof nan, reinterpret_cast<const char*>(&nan), sizeof nan);
  folder().write("weights.safetensors", bytes);
  const Exit exit = run_trainer(arguments("eval", settings("new") + Settings{"model.init_from=" + file}));
  EXPECT_EQ(exit.status, 1);
  EXPECT_EQ(exit.out, "");
  EXPECT_EQ(lines_of(exit.err).size(), 1U) << exit.err;
  EXPECT_THAT(exit.err, AllOf(HasSubstr("[eval] " + file), HasSubstr("a finite validation loss"), HasSubstr("nan")));
}

// --- Samples -------------------------------------------------------------------------------------------------------

TEST_F(BadInput, CountsBelowZeroOfASample) {
  expect_refusal(arguments("sample", resumed(), {"--tokens", "-1"}), {"--tokens", "from 0", "got \"-1\""});
  expect_refusal(arguments("sample", resumed(), {"--top-k", "-5"}), {"--top-k", "from 0", "got \"-5\""});
}

TEST_F(BadInput, ASampleThatNothingCanDecode) {
  const std::string file = folder().write("tokens.bin", std::vector<std::uint16_t>(1000, 5)).string();
  expect_refusal_of_start({"data.train=" + file, "model.vocab=256", "run.sample_tokens=5"},
                          {"[run] sample_tokens", "without a tokenizer", "got 5"});
}

}  // namespace
}  // namespace retape::integration
