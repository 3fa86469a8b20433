#include "trainer/run/saved_settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

#include "data/files/json.h"
#include "nn/base/error.h"
#include "trainer/run/saved_values.h"

namespace retape::trainer {
namespace {

constexpr std::string_view kSeed = "run.seed";
// What is compared when a run goes on, and the sizes of a run.
constexpr std::array<std::string_view, 11> kAlwaysThere{
    kSeed,       "model.init_from", "data.tokenizer", "data.order",       "model.layers",    "model.heads",
    "model.dim", "model.seq_len",   "train.steps",    "train.batch_size", "train.grad_accum"};

std::string place_of(const Checkpoint& checkpoint) {
  return fmt::format("[checkpoint] {}: state \"config\"", checkpoint.path().string());
}

const std::string* find(const SettingTexts& settings, std::string_view key) {
  const auto found =
      std::find_if(settings.begin(), settings.end(), [key](const auto& one) { return one.first == key; });
  return found == settings.end() ? nullptr : &found->second;
}

}  // namespace

SettingTexts settings_in(const std::string& toml, std::string_view place) {
  SettingTexts settings;
  std::string table;
  std::istringstream text(toml);
  for (std::string line; std::getline(text, line);) {
    const std::size_t equals = line.find(" = ");
    if (line.empty() || line.starts_with('#')) {
      continue;
    }
    if (line.starts_with('[') && line.ends_with(']')) {
      table = line.substr(1, line.size() - 2);
      continue;
    }
    require<DataError>(equals != std::string::npos && !table.empty(),
                       "{}: expected the settings of a run, one in each line, got {}", place, data::in_quotes(line));
    settings.emplace_back(fmt::format("{}.{}", table, line.substr(0, equals)), line.substr(equals + 3));
  }
  return settings;
}

SettingTexts saved_settings(const Checkpoint& checkpoint) {
  SettingTexts settings = settings_in(saved_text(checkpoint, "config"), place_of(checkpoint));
  for (const std::string_view key : kAlwaysThere) {
    require<DataError>(find(settings, key) != nullptr, "{}: expected the settings of a run, found no {}",
                       place_of(checkpoint), key);
  }
  return settings;
}

std::uint64_t saved_seed(const Checkpoint& checkpoint) {
  const SettingTexts settings = saved_settings(checkpoint);
  const std::string& text = *find(settings, kSeed);
  std::int64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  require<DataError>(error == std::errc() && end == text.data() + text.size(), "{}: {}: expected an integer, got {}",
                     place_of(checkpoint), kSeed, data::in_quotes(text));
  return static_cast<std::uint64_t>(seed);
}

}  // namespace retape::trainer
