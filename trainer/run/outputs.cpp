#include "trainer/run/outputs.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>
#include <utility>

#include "data/match_files.h"
#include "nn/base/error.h"
#include "trainer/checkpoint_files.h"
#include "trainer/run/settings_file.h"

namespace retape::trainer {
namespace {

// A pattern that matches nothing names no file.
void append_matches(const std::vector<std::string>& patterns, std::vector<std::filesystem::path>& files) {
  for (const std::string& pattern : patterns) {
    try {
      const std::vector<std::filesystem::path> matches = data::match_files(pattern);
      files.insert(files.end(), matches.begin(), matches.end());
    } catch (const DataError&) {
      continue;
    }
  }
}

bool is_checkpoint_of_a_run(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.parent_path();
  const std::vector<CheckpointEntry> entries =
      folder.filename() == "checkpoints" ? list_checkpoints(folder) : std::vector<CheckpointEntry>();
  return std::any_of(entries.begin(), entries.end(),
                     [&file](const CheckpointEntry& entry) { return entry.path == file; });
}

bool is_other_file_of_a_run(const std::filesystem::path& file) {
  constexpr std::array<std::string_view, 4> kNames{"config.toml", "settings.toml", "metrics.jsonl", ".retape.lock"};
  return std::find(kNames.begin(), kNames.end(), file.filename().string()) != kNames.end() &&
         has_run(file.parent_path());
}

}  // namespace

data::OutputRules output_rules(const Config& config, const OutputOptions& options, std::string command) {
  data::OutputRules rules{
      .place = fmt::format("[{}] output", command), .command = std::move(command), .read = {}, .force = options.force};
  append_matches(config.data.train, rules.read);
  append_matches(config.data.val, rules.read);
  rules.read.insert(rules.read.end(),
                    {options.config_file, config.model.init_from, config.activation_checkpointing.deepspeed_config});
  if (config.train.resume != "auto" && config.train.resume != "never") {
    rules.read.emplace_back(config.train.resume);
  }
  std::erase(rules.read, std::filesystem::path());
  return rules;
}

void require_none_of_a_run(const std::filesystem::path& output, const std::string& place) {
  std::error_code error;
  const std::filesystem::path file = std::filesystem::weakly_canonical(output, error);
  if (error || !std::filesystem::exists(file, error)) {
    return;
  }
  require<DataError>(!is_checkpoint_of_a_run(file) && !is_other_file_of_a_run(file),
                     "{}: {} is a file of a run, which alone replaces it; name another", place, output.string());
}

}  // namespace retape::trainer
