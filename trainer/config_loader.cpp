#include "trainer/config_loader.h"

#include "trainer/config_checks.h"
#include "trainer/config_origins.h"
#include "trainer/config_reader.h"

namespace retape::trainer {

Config load_config(const std::filesystem::path& file, std::span<const std::string> overrides, PolicyOf policy) {
  Config config;
  ConfigOrigins origins;
  if (!file.empty()) {
    read_config_file(file, config, origins);
  }
  for (const std::string& setting : overrides) {
    read_override(setting, config, origins);
  }
  if (policy == PolicyOf::command) {
    leave_policy_open(config, origins);
  }
  fill_in(config, origins);
  check_combinations(config, origins);
  check_available(config, origins);
  return config;
}

}  // namespace retape::trainer
