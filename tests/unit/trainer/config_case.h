// What the tests of the configuration share: a file in a folder of its own, and the message of a refusal.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "nn/base/error.h"
#include "tests/support/temp_dir.h"
#include "trainer/config_loader.h"

namespace retape::trainer {

class ConfigCase : public testing::Test {
 protected:
  const std::filesystem::path& folder() const { return folder_.path(); }
  std::filesystem::path file() const { return folder_ / "gpt.toml"; }

  void write(std::string_view text) const { std::ofstream(file(), std::ios::binary) << text; }

  Config load(std::string_view text, const std::vector<std::string>& overrides = {}) const {
    write(text);
    return load_config(file(), overrides);
  }

  static Config set(const std::vector<std::string>& overrides) { return load_config({}, overrides); }

  // The overrides that set these of the table [activation_checkpointing].
  static std::vector<std::string> checkpointing_settings(std::vector<std::string> settings) {
    for (std::string& setting : settings) {
      setting.insert(0, "activation_checkpointing.");
    }
    return settings;
  }

  // The message of the ConfigError, with the folder left out of it; fails the test where there is none.
  std::string refusal(std::string_view text, const std::vector<std::string>& overrides = {}) const {
    write(text);
    return refusal_of(file(), overrides);
  }

  std::string refusal_of_set(const std::vector<std::string>& overrides) const { return refusal_of({}, overrides); }

  std::string refusal_of(const std::filesystem::path& path, const std::vector<std::string>& overrides = {}) const {
    try {
      load_config(path, overrides);
    } catch (const ConfigError& error) {
      std::string message = error.what();
      const std::string prefix = folder().string() + "/";
      if (message.starts_with(prefix)) {
        message.erase(0, prefix.size());
      }
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      return message;
    }
    ADD_FAILURE() << "accepted";
    return "";
  }

 private:
  TempDir folder_;
};

}  // namespace retape::trainer
