#include "tests/integration/training_case.h"

#include <fstream>
#include <iterator>

#include "nn/base/error.h"
#include "tests/support/tensor_contents.h"
#include "trainer/checkpoint_files.h"

namespace retape::integration {
namespace {

using nlohmann::json;

// Words of letters that a simple generator draws, in lines.
std::string some_text() {
  constexpr std::uint32_t kCharacters = 6000;
  std::string text;
  std::uint32_t state = 1;
  while (text.size() < kCharacters) {
    state = state * 1664525 + 1013904223;
    const std::uint32_t drawn = state >> 24;
    text += drawn < 6 ? '\n' : drawn < 48 ? ' ' : static_cast<char>('a' + drawn % 20);
  }
  return text;
}

}  // namespace

Settings operator+(Settings settings, const Settings& more) {
  settings.insert(settings.end(), more.begin(), more.end());
  return settings;
}

std::vector<std::string> arguments(const std::string& command, const Settings& settings,
                                   const std::vector<std::string>& more) {
  std::vector<std::string> words;
  if (!command.empty()) {
    words.push_back(command);
  }
  for (const std::string& setting : settings) {
    words.insert(words.end(), {"--set", setting});
  }
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TrainingCase::TrainingCase() {
  folder_.write("text.txt", some_text());
}

Settings TrainingCase::settings(const std::string& run) const {
  return {"run.out_dir=" + out_dir(run).string(),
          "run.threads=2",
          "run.hash_gradients=true",
          "model.layers=2",
          "model.heads=2",
          "model.dim=32",
          "model.seq_len=16",
          "model.dropout=0.1",
          "data.train=" + path("text.txt").string(),
          "train.steps=8",
          "train.batch_size=4",
          "train.grad_accum=2",
          "train.eval_every=3",
          "train.eval_batches=2"};
}

Exit TrainingCase::train(const std::string& run, const Settings& more) const {
  Exit exit = run_trainer(arguments("", settings(run) + more));
  EXPECT_TRUE(exit.ok()) << "status " << exit.status << ", signal " << exit.signal << ": " << exit.err;
  return exit;
}

std::vector<std::string> TrainingCase::calls_of_three_saves() const {
  const std::string log = path("calls").string();
  const Exit exit = run_trainer(arguments("", settings("run") + Settings{"train.save_every=3"}),
                                {.variables = {"LD_PRELOAD=" RETAPE_CALLS, "RETAPE_CALLS_LOG=" + log}});
  EXPECT_TRUE(exit.ok()) << exit.err;
  return lines_of(bytes_of(log));
}

std::vector<json> TrainingCase::all_of_metrics(const std::string& run) const {
  std::vector<json> rows;
  for (const std::string& line : lines_of(bytes_of(out_dir(run) / "metrics.jsonl"))) {
    rows.push_back(json::parse(line));
  }
  return rows;
}

std::vector<json> TrainingCase::metrics(const std::string& run) const {
  std::vector<json> rows = all_of_metrics(run);
  for (json& row : rows) {
    for (const char* time : {"time", "elapsed_s", "step_ms", "tokens_per_s", "mfu", "recompute_ms", "resumed"}) {
      row.erase(time);
    }
  }
  return rows;
}

std::size_t TrainingCase::rows_so_far(const std::string& run) const {
  return lines_of(bytes_of(out_dir(run) / "metrics.jsonl")).size();
}

CheckpointContents TrainingCase::newest_checkpoint(const std::string& run) const {
  const trainer::LatestCheckpoint latest = trainer::open_latest_checkpoint(checkpoints(run));
  EXPECT_THAT(latest.warnings, testing::IsEmpty());
  require(latest.checkpoint.has_value(), "{} has no checkpoint", run);
  CheckpointContents contents{{"step", std::to_string(latest.checkpoint->step())}};
  for (const trainer::StoredTensor& tensor : latest.checkpoint->tensors()) {
    contents[tensor.name] = contents_of(latest.checkpoint->file(), tensor);
  }
  json state = latest.checkpoint->state();
  state.erase("config");         // has the folder of the run in it
  if (state.contains("data")) {  // names its files
    json data = json::parse(state["data"].get<std::string>());
    for (json& files : data) {
      for (json& file : files) {
        file.erase("name");
      }
    }
    state["data"] = data;
  }
  for (const auto& [key, value] : state.items()) {
    contents["state " + key] = value.dump();
  }
  return contents;
}

void TrainingCase::expect_same_bits(const std::string& expected, const std::string& found) const {
  EXPECT_EQ(metrics(expected), metrics(found));
  const CheckpointContents left = newest_checkpoint(expected);
  const CheckpointContents right = newest_checkpoint(found);
  ASSERT_EQ(left.size(), right.size());
  for (const auto& [name, bytes] : left) {
    ASSERT_TRUE(right.contains(name)) << name;
    EXPECT_TRUE(right.at(name) == bytes) << name << " differs";
  }
}

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void corrupt(const std::filesystem::path& path) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const auto middle = static_cast<std::streamoff>(std::filesystem::file_size(path) / 2);
  file.seekg(middle);
  const auto byte = static_cast<char>(file.get() ^ 1);
  file.seekp(middle);
  file.put(byte);
  require(file.good(), "{} cannot be changed", path.string());
}

}  // namespace retape::integration
