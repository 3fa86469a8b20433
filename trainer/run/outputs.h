// What the files that a command writes may not take the place of.
#pragma once

#include <filesystem>
#include <string>

#include "data/files/output_mark.h"
#include "trainer/config.h"

namespace retape::trainer {

// What a command that writes files is told besides its configuration.
struct OutputOptions {
  std::filesystem::path config_file;  // that the configuration was read from; empty: none
  bool force = false;                 // replaces files that the command did not write
};

// The rules for an output of the command: every file that the configuration names, or was read from, is one that it
// reads.
data::OutputRules output_rules(const Config& config, const OutputOptions& options, std::string command);

// Throws DataError where the path leads to a file that a run replaces, alone: a checkpoint in its folder, its settings,
// metrics or lock.
void require_none_of_a_run(const std::filesystem::path& output, const std::string& place);

}  // namespace retape::trainer
