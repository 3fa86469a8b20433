// Files that are not what a run needs: its data, its checkpoints and the weights to start from. See bad_input_test.cpp.
#include "data/utf8.h"
#include "tests/integration/bad_input_case.h"
#include "trainer/checkpoint_files.h"

namespace retape::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

using BadFiles = BadInput;

// --- Data ----------------------------------------------------------------------------------------------------------

TEST_F(BadFiles, Data) {
  const std::string empty = folder().write("empty.txt", "").string();
  expect_refusal_of_start_and_plan({"data.train=" + empty}, {empty, "empty"});
  const std::string missing = path("missing.txt").string();
  expect_refusal_of_start_and_plan({"data.train=" + missing}, {missing});
  expect_refusal_of_start_and_plan({"data.val=" + missing}, {missing});
  const std::string brief = folder().write("brief.txt", "ten bytes.").string();
  expect_refusal_of_start_and_plan({"data.train=" + brief}, {brief, "expected at least 17 tokens", "got 9"});
  expect_refusal_of_start({"data.train=" + path("text.txt").string() + "/x"}, {"text.txt/x"});
  expect_refusal(arguments("", {"run.out_dir=" + out_dir("new").string()}), {"[data] train", "none"});
}

TEST_F(BadFiles, TokenFiles) {
  std::vector<std::uint16_t> tokens(1000, 5);
  tokens[700] = 300;
  const std::string file = folder().write("tokens.bin", tokens).string();
  expect_refusal_of_start({"data.train=" + file, "model.vocab=256"}, {file, "700", "300", "256"});
  expect_refusal_of_start_and_plan({"data.train=" + file}, {file, "vocabulary"});
  const std::string odd = folder().write("odd.bin", std::string(1001, 'a')).string();
  expect_refusal_of_start_and_plan({"data.train=" + odd, "model.vocab=30000"}, {odd, "1001"});

  std::vector<std::int32_t> header(256);
  header[0] = 20240520;
  header[1] = 1;
  header[2] = 5000;  // and then none come
  const std::string truncated = folder().write("truncated.bin", header).string();
  expect_refusal_of_start_and_plan({"data.train=" + truncated, "model.vocab=256"}, {truncated, "5000"});
}

TEST_F(BadFiles, DataThatTheRunDoesNotKnow) {
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
TEST_F(BadFiles, ATokenizerWithMoreIdsThanTheTable) {
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

TEST_F(BadFiles, APromptOutsideTheVocabulary) {
  expect_refusal_of_start_and_plan({"data.tokenizer=char", "run.sample_tokens=5", "run.sample_prompt=Z"},
                                   {"run.sample_prompt", "'Z'"});
}

// --- Weights and checkpoints ---------------------------------------------------------------------------------------

TEST_F(BadFiles, Checkpoints) {
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

TEST_F(BadFiles, ANamedCheckpoint) {
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

TEST_F(BadFiles, ACheckpointOfAnotherModel) {
  const std::string place = "[checkpoint] " + newest();
  expect_refusal_of({"model.layers=3"}, {place, "h.2.", "got none"});
  expect_refusal_of({"model.layers=1"}, {place, "number of tensors", "expected 48", "got 84"});
  expect_refusal_of({"model.dim=64"}, {place, "[256, 64]", "[256, 32]"});
  expect_refusal_of({"model.seq_len=32"}, {place, "wpe.weight", "[32, 32]", "[16, 32]"});
  expect_refusal_of({"model.heads=4"}, {place, "heads", "expected 4", "got 2"});
  expect_refusal_of({"model.tie_embeddings=false"}, {place, "lm_head.weight", "got none"});
}

TEST_F(BadFiles, SettingsThatARunKeeps) {
  const std::string saved = ", that of " + newest() + ", got ";
  expect_refusal_of({"run.seed=2"}, {"[run] seed: expected 1" + saved + "2;"});
  expect_refusal_of({"data.tokenizer=char"}, {"[data] tokenizer: expected \"byte\"" + saved + "\"char\";"});
  expect_refusal_of({"data.order=sequential"}, {"[data] order: expected \"random\"" + saved + "\"sequential\";"});
  expect_refusal_of({"model.init_from=x"}, {"[model] init_from: expected \"\"" + saved + "\"x\";"});
}

TEST_F(BadFiles, AnEndBeforeTheCheckpoint) {
  expect_refusal_of({"train.steps=3"}, {"[train] steps: expected at least 4, the step of " + newest() + ", got 3"});
}

TEST_F(BadFiles, WeightsToStartFrom) {
  const std::string file = path("weights.safetensors").string();
  ASSERT_TRUE(run_trainer(arguments("export", resumed(), {"--output", file})).ok());
  const Settings start{"model.init_from=" + file};
  expect_refusal_of_start_and_plan(start + Settings{"model.seq_len=32"},
                                   {file, "wpe.weight", "[32, 32]", "model.seq_len = 32", "got [16, 32]"});
  expect_refusal_of_start_and_plan(start + Settings{"model.vocab=300"},
                                   {file, "wte.weight", "[300, 32]", "got [256, 32]"});
  expect_refusal_of_start_and_plan(start + Settings{"model.layers=3"}, {file, "h.2."});
  expect_refusal_of_start_and_plan(start + Settings{"model.layers=1"}, {file, "h.1."});

  const std::string whole = bytes_of(file);
  for (const std::size_t length : {whole.size() - 1, whole.size() / 2, std::size_t{100}, std::size_t{0}}) {
    folder().write("weights.safetensors", whole.substr(0, length));
    expect_refusal_of_start_and_plan(start, {file});
  }
  std::string header = whole;
  header[8] = '}';
  folder().write("weights.safetensors", header);
  expect_refusal_of_start_and_plan(start, {file, "header"});
  expect_refusal_of_start_and_plan({"model.init_from=" + path("none").string()}, {path("none").string()});
}

// A vocabulary that is given makes none of it right.
TEST_F(BadFiles, WhatTrainingRefusesItsPlanRefuses) {
  const std::string file = path("weights.safetensors").string();
  ASSERT_TRUE(run_trainer(arguments("export", resumed(), {"--output", file})).ok());
  const Settings start{"model.init_from=" + file};
  const Settings known{"model.vocab=256"};
  expect_refusal_of_start_and_plan(known + start + Settings{"model.layers=3"}, {file, "h.2."});
  expect_refusal_of_start_and_plan(known + start + Settings{"model.seq_len=17"}, {file, "wpe.weight"});
  expect_refusal_of_start_and_plan(start + Settings{"model.vocab=257"}, {file, "wte.weight", "[257, 32]"});
  expect_refusal_of_start_and_plan(known + start + Settings{"model.tie_embeddings=false"}, {file, "lm_head.weight"});
  // Weights that do not go together with a vocabulary need no data to be refused.
  expect_refusal(arguments("plan", start + Settings{"model.vocab=300", "model.dim=32", "model.heads=2"}), {file});

  expect_refusal_of_start_and_plan(known + Settings{"run.sample_tokens=3", "run.sample_prompt="},
                                   {"[run] sample_prompt: expected at least one token"});
  const std::string tokens = folder().write("plain.bin", std::vector<std::uint16_t>(5000, 7)).string();
  const Settings plain{"data.train=" + tokens, "data.format=u16", "model.vocab=70000"};
  expect_refusal_of_start_and_plan(plain + Settings{"run.sample_tokens=5"}, {"[run] sample_tokens: expected 0"});
  expect_refusal_of_start_and_plan(known + Settings{"data.format=llmc"}, {"text.txt", "llmc: expected magic number"});

  const std::string brief = folder().write("brief.txt", "nine byte").string();
  expect_refusal_of_start_and_plan(known + Settings{"data.train=" + brief}, {brief, "at least 17 tokens", "got 8"});
  expect_refusal_of_start_and_plan(known + Settings{"data.val=" + brief}, {brief, "at least 17 tokens", "got 9"});
  expect_refusal_of_start_and_plan(plain + Settings{"data.val_fraction=0.9999"}, {tokens, "at least 17 tokens"});
  for (const Settings& data : {known, plain, Settings{"model.vocab=256", "data.tokenizer=char"}}) {
    expect_refusal_of_start_and_plan(data + Settings{"data.val_fraction=1e-30"}, {"validation part", "got 0"});
  }
  std::string sixteen;  // of two bytes each
  for (int i = 0; i < 16; ++i) {
    sixteen += "\u00e9";
  }
  const std::string characters = folder().write("characters.txt", sixteen).string();
  expect_refusal_of_start_and_plan(
      known + Settings{"data.train=" + characters, "data.tokenizer=char", "data.val_fraction=0", "train.eval_every=0"},
      {characters, "at least 17 tokens", "got 16"});
}

TEST_F(BadFiles, AModelIsComparedWithItsWeightsBeforeItIsMade) {
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

TEST_F(BadFiles, CommandsWithoutACheckpoint) {
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

}  // namespace
}  // namespace retape::integration
