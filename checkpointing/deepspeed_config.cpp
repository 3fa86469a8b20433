#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "checkpointing/settings.h"
#include "data/files/json.h"
#include "data/files/read_text.h"
#include "nn/base/error.h"

namespace retape::checkpointing {
namespace {

using nlohmann::json;

constexpr std::string_view kSection = "activation_checkpointing";

constexpr std::size_t kMostBytes = std::size_t{16} << 20;

// The section, or null where the file has none.
json read_section(const std::filesystem::path& path) {
  try {
    json file = data::parse_hjson(data::read_text(path, kMostBytes), path.string());
    require<DataError>(file.is_object(), "{}: expected an object, got {}", path.string(), data::shown(file));
    const auto section = file.find(kSection);
    if (section == file.end() || section->is_null()) {
      return nullptr;
    }
    require<DataError>(section->is_object(), "{}: {}: expected an object, got {}", path.string(), kSection,
                       data::shown(*section));
    return std::move(*section);
  } catch (const DataError& error) {
    throw ConfigError(error.what());
  }
}

// Also of a number that is written as a fraction or with an exponent, 4.0 or 4e0, which is an integer for hjson.
std::optional<std::int64_t> whole_number(const json& value) {
  constexpr double kTooLarge = 0x1p63;
  if (value.is_number_float()) {
    const auto number = value.get<double>();
    const bool is_whole = std::trunc(number) == number && std::abs(number) < kTooLarge;
    return is_whole ? std::optional(static_cast<std::int64_t>(number)) : std::nullopt;
  }
  const bool is_in_range = value.is_number_integer() &&
                           (!value.is_number_unsigned() || std::in_range<std::int64_t>(value.get<std::uint64_t>()));
  return is_in_range ? std::optional(value.get<std::int64_t>()) : std::nullopt;
}

// Reads the keys of the section, one by one.
class Section {
 public:
  Section(const std::filesystem::path& path, const json& section) : path_(path), section_(section) {}

  // Null is what is not set.
  void read(const char* key, std::optional<bool>& flag) {
    const json* value = find(key);
    if (value == nullptr || value->is_null()) {
      return;
    }
    require<ConfigError>(value->is_boolean(), "{}: {}.{}: expected true, false or null, got {}", path_.string(),
                         kSection, key, data::shown(*value));
    flag = value->get<bool>();
  }

  // So are null and false, for a number.
  void read(const char* key, std::optional<std::int64_t>& number) {
    const json* value = find(key);
    if (value == nullptr || value->is_null() || *value == false) {
      return;
    }
    number = whole_number(*value);
    require<ConfigError>(number.has_value() && *number > 0, "{}: {}.{}: expected an integer above 0 or null, got {}",
                         path_.string(), kSection, key, data::shown(*value));
  }

  void require_no_others() const {
    for (const auto& [key, value] : section_.items()) {
      require<ConfigError>(std::find(known_.begin(), known_.end(), key) != known_.end(),
                           "{}: {}: unknown key {}; expected one of {}", path_.string(), kSection, data::in_quotes(key),
                           fmt::join(known_, ", "));
    }
  }

 private:
  const json* find(const char* key) {
    known_.emplace_back(key);
    const auto entry = section_.find(key);
    return entry == section_.end() ? nullptr : &*entry;
  }

  const std::filesystem::path& path_;
  const json& section_;
  std::vector<std::string> known_;
};

}  // namespace

Overrides read_deepspeed_config(const std::filesystem::path& path) {
  const json section = read_section(path);
  Overrides overrides;
  if (section.is_null()) {
    return overrides;
  }
  Section keys(path, section);
  keys.read("partition_activations", overrides.partition_activations);
  keys.read("cpu_checkpointing", overrides.cpu_checkpointing);
  keys.read("contiguous_memory_optimization", overrides.contiguous_memory_optimization);
  keys.read("number_checkpoints", overrides.number_checkpoints);
  keys.read("synchronize_checkpoint_boundary", overrides.synchronize_checkpoint_boundary);
  keys.read("profile", overrides.profile);
  keys.require_no_others();
  return overrides;
}

bool has_deepspeed_section(const std::filesystem::path& path) {
  return !read_section(path).empty();
}

}  // namespace retape::checkpointing
