// The text of --help: what a command does, its options, an example, the statuses, the settings. No line is wider than
// 80 columns.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace retape::trainer {

// A command's example is its footer. Settings are listed where it takes --set.
class HelpFormatter : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* command, std::string name, CLI::AppFormatMode mode) const override;
};

}  // namespace retape::trainer
