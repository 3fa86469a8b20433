// A command replaces what it wrote itself, and nothing else.
#include "tests/integration/training_case.h"
#include "trainer/checkpoint_files.h"
#include "trainer/safetensors.h"

namespace retape::integration {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class Outputs : public TrainingCase {
 protected:
  Outputs() { train("run", {"train.steps=2", "train.eval_every=0"}); }

  std::vector<std::string> export_to(const std::filesystem::path& output, const std::vector<std::string>& more = {},
                                     const Settings& settings_too = {}) const {
    return arguments("export", settings("run") + settings_too,
                     std::vector<std::string>{"--output", output.string()} + more);
  }

  static void expect_done(const std::vector<std::string>& words) {
    const Exit exit = run_trainer(words);
    EXPECT_TRUE(exit.ok()) << exit.err;
  }

  // One line, and the file keeps its bytes.
  static void expect_refused(const std::vector<std::string>& words, const std::filesystem::path& file,
                             const std::string& text) {
    const std::string before = bytes_of(file);
    const Exit exit = run_trainer(words);
    EXPECT_EQ(exit.status, 1);
    EXPECT_THAT(lines_of(exit.err), ElementsAre(AllOf(StartsWith("error: "), HasSubstr(text))));
    EXPECT_EQ(bytes_of(file), before);
  }

  std::filesystem::path newest() const { return trainer::list_checkpoints(checkpoints("run")).front().path; }
};

TEST_F(Outputs, OfAnExportMayBeRepeated) {
  const std::filesystem::path file = path("weights.safetensors");
  expect_done(export_to(file));
  const std::string first = bytes_of(file);
  expect_done(export_to(file));
  EXPECT_EQ(bytes_of(file), first);
  EXPECT_EQ(trainer::SafetensorsFile(file).metadata().at("retape"), "export");
}

TEST_F(Outputs, OfAnExportReplaceNobodysFile) {
  const std::filesystem::path mine = folder().write("thesis.txt", "years of work");
  expect_refused(export_to(mine), mine, "was not written by export");
  std::filesystem::create_symlink("thesis.txt", path("link"));
  expect_refused(export_to(path("link")), mine, "was not written by export");
  trainer::write_safetensors(path("other"), {}, {{"retape", "merge"}});
  expect_refused(export_to(path("other")), path("other"), "was not written by export");
  expect_done(export_to(mine, {"--force"}));
  EXPECT_EQ(trainer::SafetensorsFile(mine).metadata().at("retape"), "export");
}

// Whatever it is called by, and --force or not.
TEST_F(Outputs, OfAnExportAreNoFilesThatItReads) {
  const std::filesystem::path weights = path("weights.safetensors");
  expect_done(export_to(weights));
  std::filesystem::create_symlink(newest(), path("link"));
  std::filesystem::create_hard_link(newest(), path("hard"));
  const std::string config = folder().write("gpt.toml", "[train]\nsteps = 2\n").string();
  for (const std::vector<std::string>& force : {std::vector<std::string>{}, {"--force"}}) {
    for (const std::filesystem::path& checkpoint :
         {newest(), path("link"), path("hard"), out_dir("run") / "../run/./checkpoints" / newest().filename()}) {
      expect_refused(export_to(checkpoint, force), newest(), "is a file that export reads");
    }
    expect_refused(export_to(path("text.txt"), force), path("text.txt"), "is a file that export reads");
    expect_refused(
        export_to(weights, force, {"model.init_from=" + weights.string(), "run.out_dir=" + path("none").string()}),
        weights, "is a file that export reads");
    expect_refused(Settings{"--config", config} + export_to(config, force), config, "is a file that export reads");
  }
}

TEST_F(Outputs, OfAnExportAreNoFilesThatItsSettingsName) {
  const std::filesystem::path val = folder().write("val.txt", bytes_of(path("text.txt")));
  const std::filesystem::path deepspeed =
      folder().write("ds.json", R"({"activation_checkpointing": {"cpu_checkpointing": true}})");
  const std::filesystem::path copy = folder().write("copy.safetensors", bytes_of(newest()));
  for (const std::vector<std::string>& force : {std::vector<std::string>{}, {"--force"}}) {
    const auto expect_kept = [&](const std::filesystem::path& file, const Settings& more) {
      expect_refused(export_to(file, force, more), file, "is a file that export reads");
    };
    expect_kept(val, {"data.val=" + val.string()});
    expect_kept(deepspeed, {"activation_checkpointing.policy=full",
                            "activation_checkpointing.deepspeed_config=" + deepspeed.string()});
    expect_kept(copy, {"train.resume=" + copy.string()});
    expect_refused(arguments("sample", settings("run") + Settings{"train.resume=" + copy.string()},
                             Settings{"--tokens", "3", "--output", copy.string()} + force),
                   copy, "is a file that sample reads");
  }
}

TEST_F(Outputs, AreNoFilesOfARun) {
  train("run", {"train.steps=4", "train.eval_every=0"});
  const std::filesystem::path older = trainer::list_checkpoints(checkpoints("run")).back().path;
  ASSERT_NE(older, newest());
  for (const std::filesystem::path& file :
       {older, out_dir("run") / "metrics.jsonl", out_dir("run") / "config.toml", out_dir("run") / ".retape.lock"}) {
    expect_refused(export_to(file, {"--force"}), file, "is a file of a run");
    expect_refused({"prepare", "--force", "--input", path("text.txt").string(), "--output", file.string()}, file,
                   "is a file of a run");
    expect_refused(arguments("sample", settings("run"), {"--force", "--tokens", "3", "--output", file.string()}), file,
                   "is a file of a run");
  }
  expect_done(export_to(out_dir("run") / "weights.safetensors"));
  expect_done(export_to(out_dir("run") / "weights.safetensors"));
}

TEST_F(Outputs, OfPreparingMayBeRepeatedUntilSomebodyChangesThem) {
  const std::filesystem::path tokens = path("tokens.bin");
  const std::vector<std::string> words{"prepare", "--input", path("text.txt").string(), "--output", tokens.string()};
  expect_done(words);
  const std::string first = bytes_of(tokens);
  expect_done(words + Settings{"--tokenizer", "byte"});
  EXPECT_NE(bytes_of(tokens), first);
  expect_done(words);
  EXPECT_EQ(bytes_of(tokens), first);

  std::string changed = first;
  changed.back() ^= 1;
  folder().write("tokens.bin", changed);
  expect_refused(words, tokens, "tokens.bin was not written by prepare, or was changed since");
  expect_done(words + Settings{"--force"});
  const std::filesystem::path tokenizer = folder().write("tokens.tokenizer.json", R"({"mine": true})");
  expect_refused(words, tokenizer, "tokens.tokenizer.json was not written by prepare");
  expect_done(words + Settings{"--force"});
  const std::filesystem::path mark = folder().write("tokens.bin.retape.json", "[]");
  expect_refused(words, mark, "--force");
  expect_done(words + Settings{"--force"});
  EXPECT_EQ(bytes_of(tokens), first);
}

TEST_F(Outputs, OfPreparingAreNoFilesThatItReads) {
  const std::filesystem::path text = path("text.txt");
  std::filesystem::create_hard_link(text, path("tokens.bin"));
  for (const std::vector<std::string>& force : {std::vector<std::string>{}, {"--force"}}) {
    expect_refused(Settings{"prepare", "--input", text.string(), "--output", text.string()} + force, text,
                   "is a file that prepare reads");
    expect_refused(Settings{"prepare", "--input", text.string(), "--output", path("tokens.bin").string()} + force, text,
                   "is a file that prepare reads");
  }
  // A tokenizer that lies where it would be written stays as it is.
  std::filesystem::remove(path("tokens.bin"));
  expect_done({"prepare", "--input", text.string(), "--output", path("tokens.bin").string()});
  const std::filesystem::path tokenizer = path("tokens.tokenizer.json");
  const std::string mine = bytes_of(tokenizer) + "\n";
  folder().write("tokens.tokenizer.json", mine);
  expect_done({"prepare", "--input", text.string(), "--output", path("tokens.bin").string(), "--tokenizer",
               tokenizer.string()});
  EXPECT_EQ(bytes_of(tokenizer), mine);
  for (const std::vector<std::string>& force : {std::vector<std::string>{}, {"--force"}}) {
    expect_refused(Settings{"prepare", "--input", text.string(), "--output", tokenizer.string(), "--tokenizer",
                            tokenizer.string()} +
                       force,
                   tokenizer, "is a file that prepare reads");
  }
}

TEST_F(Outputs, OfAStudyMayBeRepeatedAndReplaceNobodysFile) {
  const std::vector<std::string> words =
      arguments("study", settings("run"), {"--steps", "2", "--policies", "none", "--output", path("study").string()});
  expect_done(words);
  expect_done(words);
  for (const char* name : {"study/study.csv", "study/study.json"}) {
    const std::string own = bytes_of(path(name));
    folder().write(name, "mine");
    expect_refused(words, path(name), std::string(name) + " was not written by study");
    folder().write(name, own);
  }
  const std::string csv = bytes_of(path("study/study.csv"));
  std::filesystem::remove(path("study/study.csv"));
  std::filesystem::create_symlink("study.json", path("study/study.csv"));
  expect_refused(words, path("study/study.json"), "which are links to one");
  std::filesystem::remove(path("study/study.csv"));
  folder().write("study/study.csv", csv);
  folder().write("study/study.csv", "mine");
  expect_done(words + Settings{"--force"});
  expect_done(words);
}

TEST_F(Outputs, OfATrainingAreNoFilesThatItReads) {
  const std::string rows = (out_dir("run") / "metrics.jsonl").string();
  expect_refused(arguments("train", settings("run") + Settings{"data.train=" + rows, "data.format=text"}, {"--force"}),
                 rows, "is a file that train reads");
}

}  // namespace
}  // namespace retape::integration
