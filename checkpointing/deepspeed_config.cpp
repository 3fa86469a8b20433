#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>

#include "checkpointing/settings.h"
#include "nn/base/error.h"

namespace retape::checkpointing {
namespace {

using nlohmann::json;

constexpr std::string_view kSection = "activation_checkpointing";

json parse(const std::filesystem::path& path) {
  std::ifstream file(path);
  require<ConfigError>(file.is_open(), "{}: cannot be opened", path.string());
  try {
    return json::parse(file);
  } catch (const json::parse_error& error) {
    fail<ConfigError>("{}: byte {}: not JSON", path.string(), error.byte);
  } catch (const std::ios_base::failure&) {
    fail<ConfigError>("{}: cannot be read", path.string());
  }
}

// Reads the keys of the section, one by one.
class Section {
 public:
  Section(const std::filesystem::path& path, const json& section) : path_(path), section_(section) {}

  void read(const char* key, std::optional<bool>& flag) {
    known_.emplace_back(key);
    if (const auto entry = section_.find(key); entry != section_.end()) {
      require<ConfigError>(entry->is_boolean(), "{}: {}.{}: expected true or false, got {}", path_.string(), kSection,
                           key, entry->dump());
      flag = entry->get<bool>();
    }
  }

  // DeepSpeed writes null for a number that is not set.
  void read(const char* key, std::optional<std::int64_t>& number) {
    known_.emplace_back(key);
    if (const auto entry = section_.find(key); entry != section_.end() && !entry->is_null()) {
      require<ConfigError>(entry->is_number_integer() && entry->get<std::int64_t>() > 0,
                           "{}: {}.{}: expected an integer above 0, got {}", path_.string(), kSection, key,
                           entry->dump());
      number = entry->get<std::int64_t>();
    }
  }

  void require_no_others() const {
    for (const auto& [key, value] : section_.items()) {
      require<ConfigError>(std::find(known_.begin(), known_.end(), key) != known_.end(),
                           "{}: {}.{}: unknown key; expected one of {}", path_.string(), kSection, key,
                           fmt::join(known_, ", "));
    }
  }

 private:
  const std::filesystem::path& path_;
  const json& section_;
  std::vector<std::string> known_;
};

}  // namespace

Overrides read_deepspeed_config(const std::filesystem::path& path) {
  const json file = parse(path);
  require<ConfigError>(file.is_object(), "{}: expected a JSON object, got {}", path.string(), file.type_name());
  Overrides overrides;
  const auto section = file.find(kSection);
  if (section == file.end()) {
    return overrides;
  }
  require<ConfigError>(section->is_object(), "{}: {}: expected an object, got {}", path.string(), kSection,
                       section->type_name());
  Section keys(path, *section);
  keys.read("partition_activations", overrides.partition_activations);
  keys.read("cpu_checkpointing", overrides.cpu_checkpointing);
  keys.read("contiguous_memory_optimization", overrides.contiguous_memory_optimization);
  keys.read("number_checkpoints", overrides.number_checkpoints);
  keys.read("synchronize_checkpoint_boundary", overrides.synchronize_checkpoint_boundary);
  keys.read("profile", overrides.profile);
  keys.require_no_others();
  return overrides;
}

}  // namespace retape::checkpointing
