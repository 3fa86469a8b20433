// What the tests of training share: a folder with a little text, runs of a tiny model, and what the runs leave behind.
#pragma once

#include <gmock/gmock.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/integration/trainer_process.h"
#include "tests/support/temp_dir.h"

namespace retape::integration {

// "table.key=value" each; later ones win.
using Settings = std::vector<std::string>;

Settings operator+(Settings settings, const Settings& more);

// A command and its settings as arguments; an empty command trains.
std::vector<std::string> arguments(const std::string& command, const Settings& settings,
                                   const std::vector<std::string>& more = {});

// Everything of a checkpoint that must be the same in two equal runs: tensors and states by name.
using CheckpointContents = std::map<std::string, std::string>;

class TrainingCase : public testing::Test {
 protected:
  TrainingCase();

  std::filesystem::path path(const std::string& name) const { return folder_ / name; }
  const TempDir& folder() const { return folder_; }
  std::filesystem::path out_dir(const std::string& run) const { return folder_ / run; }
  std::filesystem::path checkpoints(const std::string& run) const { return out_dir(run) / "checkpoints"; }

  // Two layers, dropout, two micro-steps, evaluation in between, a hash of all gradients in each row.
  Settings settings(const std::string& run) const;
  // Trains to the end; the test fails where that fails.
  Exit train(const std::string& run, const Settings& more = {}) const;

  // What a run of three saves asked of the system for its files, a line each (calls/calls.cpp); the test fails where
  // the run does.
  std::vector<std::string> calls_of_three_saves() const;

  // The rows of metrics.jsonl as they are.
  std::vector<nlohmann::json> all_of_metrics(const std::string& run) const;
  // The rows without what no two runs share: times and speeds, and where one went on.
  std::vector<nlohmann::json> metrics(const std::string& run) const;
  std::size_t rows_so_far(const std::string& run) const;
  // Of the newest checkpoint, which must be whole.
  CheckpointContents newest_checkpoint(const std::string& run) const;
  // Same metrics and same newest checkpoint.
  void expect_same_bits(const std::string& expected, const std::string& found) const;

 private:
  TempDir folder_;
};

// The bytes of a file.
std::string bytes_of(const std::filesystem::path& path);
// Turns one bit around in the middle of a file.
void corrupt(const std::filesystem::path& path);

}  // namespace retape::integration
