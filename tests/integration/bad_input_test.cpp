// Whatever is wrong is said in one line, ends the program with an error, and costs nothing that was there.
#include <csignal>
#include <cstdio>
#include <limits>

#include "data/utf8.h"
#include "tests/integration/training_case.h"
#include "trainer/checkpoint_files.h"

namespace retape::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// Files of a folder with their bytes. A lock's only say who held it last.
std::map<std::string, std::string> contents_of(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().filename() != ".retape.lock") {
      files[entry.path().string()] = bytes_of(entry.path());
    }
  }
  return files;
}

// What a line of the shell prints: `before`, the program with these words, `after`.
std::string in_shell(const std::string& before, const std::vector<std::string>& words, const std::string& after) {
  std::string line = before + RETAPE_TRAINER;
  for (const std::string& word : words) {
    line += " '" + word + "'";
  }
  FILE* shell = popen((line + after).c_str(), "r");
  std::string output;
  for (int c = std::fgetc(shell); c != EOF; c = std::fgetc(shell)) {
    output += static_cast<char>(c);
  }
  pclose(shell);
  return output;
}

constexpr std::size_t kLongestError = sizeof "error: \n" + 999;

// Each test finds a run of four steps with its checkpoints, which would go on to eight.
class BadInput : public TrainingCase {
 protected:
  BadInput() {
    train("run", {"train.steps=4", "train.save_every=2", "optimizer.schedule=constant"});
    before_ = contents_of(out_dir("run"));
  }

  Settings resumed() const { return settings("run") + Settings{"optimizer.schedule=constant"}; }

  // One line on stderr with every one of these texts, and a folder of the run that is as it was.
  void expect_refusal(const std::vector<std::string>& words, const std::vector<std::string>& texts,
                      const Surroundings& surroundings = {}) const {
    const Exit exit = run_trainer(words, surroundings);
    SCOPED_TRACE(exit.err);
    EXPECT_EQ(exit.signal, 0);
    EXPECT_GT(exit.status, 0);
    EXPECT_EQ(lines_of(exit.err).size(), 1U);
    EXPECT_THAT(exit.err, testing::StartsWith("error: "));
    EXPECT_LE(exit.err.size(), kLongestError);
    for (const std::string& text : texts) {
      EXPECT_THAT(exit.err, HasSubstr(text));
    }
    EXPECT_TRUE(contents_of(out_dir("run")) == before_) << "the run's folder has changed";
  }

  void expect_refusal_of(const Settings& more, const std::vector<std::string>& texts) const {
    expect_refusal(arguments("", resumed() + more), texts);
  }

  // Started anew rather than resumed, in a folder of its own.
  void expect_refusal_of_start(const Settings& more, const std::vector<std::string>& texts) const {
    expect_refusal(arguments("", settings("new") + more), texts);
    EXPECT_THAT(trainer::list_checkpoints(checkpoints("new")), IsEmpty());
  }

  std::string newest() const { return trainer::list_checkpoints(checkpoints("run")).front().path.string(); }

  const std::map<std::string, std::string>& before() const { return before_; }

 private:
  std::map<std::string, std::string> before_;
};

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

// --- Data ----------------------------------------------------------------------------------------------------------

TEST_F(BadInput, Data) {
  const std::string empty = folder().write("empty.txt", "").string();
  expect_refusal_of_start({"data.train=" + empty}, {empty, "empty"});
  const std::string missing = path("missing.txt").string();
  expect_refusal_of_start({"data.train=" + missing}, {missing});
  expect_refusal_of_start({"data.val=" + missing}, {missing});
  const std::string brief = folder().write("brief.txt", "ten bytes.").string();
  expect_refusal_of_start({"data.train=" + brief}, {brief, "expected at least 17 tokens", "got 9"});
  expect_refusal_of_start({"data.train=" + path("text.txt").string() + "/x"}, {"text.txt/x"});
  expect_refusal(arguments("", {"run.out_dir=" + out_dir("new").string()}), {"[data] train", "none"});
}

TEST_F(BadInput, TokenFiles) {
  std::vector<std::uint16_t> tokens(1000, 5);
  tokens[700] = 300;
  const std::string file = folder().write("tokens.bin", tokens).string();
  expect_refusal_of_start({"data.train=" + file, "model.vocab=256"}, {file, "700", "300", "256"});
  expect_refusal_of_start({"data.train=" + file}, {file, "vocabulary"});
  const std::string odd = folder().write("odd.bin", std::string(1001, 'a')).string();
  expect_refusal_of_start({"data.train=" + odd, "model.vocab=30000"}, {odd, "1001"});

  std::vector<std::int32_t> header(256);
  header[0] = 20240520;
  header[1] = 1;
  header[2] = 5000;  // and then none come
  const std::string truncated = folder().write("truncated.bin", header).string();
  expect_refusal_of_start({"data.train=" + truncated, "model.vocab=256"}, {truncated, "5000"});
}

TEST_F(BadInput, DataThatTheRunDoesNotKnow) {
  const std::string text = folder().write("small.txt", std::string(2000, 'a') + std::string(2000, 'b')).string();
  const std::string other = folder().write("other.txt", std::string(2000, 'a') + std::string(2000, 'z')).string();
  train("chars", {"data.train=" + text, "data.tokenizer=char", "train.steps=2"});
  const Settings go_on = settings("chars") + Settings{"data.tokenizer=char"};
  expect_refusal(arguments("", go_on + Settings{"data.train=" + other}), {other, "'z'", "vocabulary of 2"});

  const std::string tokens = path("other.bin").string();
  ASSERT_TRUE(run_trainer({"prepare", "--input", other, "--output", tokens}).ok());
  expect_refusal(arguments("", go_on + Settings{"data.train=" + tokens}),
                 {"other.tokenizer.json", "expected the tokenizer of the resumed run"});
  expect_refusal_of({"model.vocab=300"}, {"[checkpoint]", "wte.weight", "[300, 32]", "[256, 32]"});
}

// Whoever gives the size of the table.
TEST_F(BadInput, ATokenizerWithMoreIdsThanTheTable) {
  const auto expect_refusal_everywhere = [&](const Settings& more, const std::vector<std::string>& texts) {
    expect_refusal_of_start(more, texts);
    const Settings all = settings("new") + more;
    expect_refusal(arguments("", all + Settings{"run.device=meta"}), texts);
    for (const char* command : {"plan", "study"}) {
      expect_refusal(arguments(command, all), texts);
    }
    EXPECT_FALSE(std::filesystem::exists(out_dir("new")));
  };
  expect_refusal_everywhere({"model.vocab=100"}, {"vocabulary size", "256", "100"});

  std::string characters;
  for (char32_t c = 0x20000; c < 0x20000 + 60'000; ++c) {
    data::append_utf8(characters, c);
  }
  const std::string many = folder().write("many.txt", characters).string();
  const std::string tokens = path("many.bin").string();
  ASSERT_TRUE(run_trainer({"prepare", "--input", many, "--output", tokens}).ok());
  for (const Settings& data :
       {Settings{"data.train=" + many, "data.tokenizer=char"}, Settings{"data.train=" + tokens}}) {
    expect_refusal_everywhere(data + Settings{"model.preset=gpt2"}, {"vocabulary size", "60000", "50257"});
  }
  const std::string plain = folder().write("plain.bin", std::vector<std::uint16_t>(5000, 7)).string();
  expect_refusal_everywhere({"data.train=" + plain, "data.val=" + tokens, "model.preset=gpt2"},
                            {"many.tokenizer.json", "60000", "50257"});

  const std::string weights = path("weights.safetensors").string();
  ASSERT_TRUE(run_trainer(arguments("export", resumed(), {"--output", weights})).ok());
  expect_refusal_everywhere({"data.train=" + many, "data.tokenizer=char", "model.init_from=" + weights},
                            {"[model] init_from", weights, "60000", "256"});
  expect_refusal(arguments("eval", settings("new") + Settings{"model.init_from=" + weights, "data.train=" + many,
                                                              "data.tokenizer=char"}),
                 {"[model] init_from", weights, "60000", "256"});
}

TEST_F(BadInput, APromptOutsideTheVocabulary) {
  expect_refusal_of_start({"data.tokenizer=char", "run.sample_tokens=5", "run.sample_prompt=Z"},
                          {"run.sample_prompt", "'Z'"});
}

// --- Weights and checkpoints ---------------------------------------------------------------------------------------

TEST_F(BadInput, Checkpoints) {
  const auto saved = trainer::list_checkpoints(checkpoints("run"));
  ASSERT_EQ(saved.size(), 2U);
  for (const trainer::CheckpointEntry& entry : saved) {
    corrupt(entry.path);
  }
  const Exit refused = run_trainer(arguments("", resumed()));
  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(lines_of(refused.err).size(), 1U) << refused.err;
  EXPECT_THAT(refused.err, AllOf(HasSubstr("none of the 2 checkpoints is whole"),
                                 HasSubstr(saved.front().path.string()), HasSubstr("checksum")));
  EXPECT_EQ(trainer::list_checkpoints(checkpoints("run")).size(), 2U);
}

TEST_F(BadInput, ANamedCheckpoint) {
  const std::string copy = path("copy.safetensors").string();
  const std::string whole = bytes_of(newest());
  for (const std::size_t length : {whole.size() - 1, whole.size() / 2, std::size_t{100}, std::size_t{3}}) {
    folder().write("copy.safetensors", whole.substr(0, length));
    expect_refusal_of({"train.resume=" + copy}, {copy, "expected", "got"});
  }
  folder().write("copy.safetensors", whole);
  corrupt(copy);
  expect_refusal_of({"train.resume=" + copy}, {copy, "expected checksum", "corrupt"});
  expect_refusal_of({"train.resume=" + path("none").string()}, {path("none").string()});
}

TEST_F(BadInput, ACheckpointOfAnotherModel) {
  const std::string place = "[checkpoint] " + newest();
  expect_refusal_of({"model.layers=3"}, {place, "h.2.", "got none"});
  expect_refusal_of({"model.layers=1"}, {place, "number of tensors", "expected 48", "got 84"});
  expect_refusal_of({"model.dim=64"}, {place, "[256, 64]", "[256, 32]"});
  expect_refusal_of({"model.seq_len=32"}, {place, "wpe.weight", "[32, 32]", "[16, 32]"});
  expect_refusal_of({"model.heads=4"}, {place, "heads", "expected 4", "got 2"});
  expect_refusal_of({"model.tie_embeddings=false"}, {place, "lm_head.weight", "got none"});
}

TEST_F(BadInput, SettingsThatARunKeeps) {
  const std::string saved = ", that of " + newest() + ", got ";
  expect_refusal_of({"run.seed=2"}, {"[run] seed: expected 1" + saved + "2;"});
  expect_refusal_of({"data.tokenizer=char"}, {"[data] tokenizer: expected \"byte\"" + saved + "\"char\";"});
  expect_refusal_of({"data.order=sequential"}, {"[data] order: expected \"random\"" + saved + "\"sequential\";"});
  expect_refusal_of({"model.init_from=x"}, {"[model] init_from: expected \"\"" + saved + "\"x\";"});
}

TEST_F(BadInput, AnEndBeforeTheCheckpoint) {
  expect_refusal_of({"train.steps=3"}, {"[train] steps: expected at least 4, the step of " + newest() + ", got 3"});
}

TEST_F(BadInput, WeightsToStartFrom) {
  const std::string file = path("weights.safetensors").string();
  ASSERT_TRUE(run_trainer(arguments("export", resumed(), {"--output", file})).ok());
  const Settings start{"model.init_from=" + file};
  expect_refusal_of_start(start + Settings{"model.seq_len=32"},
                          {file, "wpe.weight", "[32, 32]", "model.seq_len = 32", "got [16, 32]"});
  expect_refusal_of_start(start + Settings{"model.vocab=300"}, {file, "wte.weight", "[300, 32]", "got [256, 32]"});
  expect_refusal_of_start(start + Settings{"model.layers=3"}, {file, "h.2."});
  expect_refusal_of_start(start + Settings{"model.layers=1"}, {file, "h.1."});

  const std::string whole = bytes_of(file);
  for (const std::size_t length : {whole.size() - 1, whole.size() / 2, std::size_t{100}, std::size_t{0}}) {
    folder().write("weights.safetensors", whole.substr(0, length));
    expect_refusal_of_start(start, {file});
  }
  std::string header = whole;
  header[8] = '}';
  folder().write("weights.safetensors", header);
  expect_refusal_of_start(start, {file, "header"});
  expect_refusal_of_start({"model.init_from=" + path("none").string()}, {path("none").string()});
}

TEST_F(BadInput, AModelIsComparedWithItsWeightsBeforeItIsMade) {
  const Surroundings little{.most_memory = 1_GiB};  // half of what the tables would take
  const Settings longer = resumed() + Settings{"model.seq_len=16777216"};
  const std::vector<std::string> texts{"[checkpoint]", "wpe.weight", "[16777216, 32]", "[16, 32]"};
  expect_refusal(arguments("sample", longer), texts, little);
  expect_refusal(arguments("export", longer, {"--output", path("x").string()}), texts, little);

  const std::string file = path("weights.safetensors").string();
  ASSERT_TRUE(run_trainer(arguments("export", resumed(), {"--output", file})).ok());
  const Settings wider = settings("new") + Settings{"model.init_from=" + file, "model.vocab=16777216"};
  expect_refusal(arguments("", wider), {file, "wte.weight", "[16777216, 32]", "[256, 32]"}, little);
}

TEST_F(BadInput, CommandsWithoutACheckpoint) {
  const Settings none{"run.out_dir=" + path("none").string()};
  for (const std::string command : {"sample", "eval"}) {
    expect_refusal(arguments(command, resumed() + none), {"none/checkpoints", "expected a checkpoint", "found none"});
  }
  expect_refusal(arguments("export", resumed() + none, {"--output", path("x").string()}), {"none/checkpoints"});
  const Exit sampled = run_trainer(arguments("sample", resumed() + none + Settings{"model.init_from=weights"}));
  EXPECT_EQ(sampled.status, 1);
  EXPECT_THAT(sampled.err, AllOf(HasSubstr("found none; train first\n"), Not(HasSubstr("init_from"))));
  expect_refusal(arguments("export", resumed(), {"--output", path("no/folder/x").string()}), {"no/folder/x"});
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
