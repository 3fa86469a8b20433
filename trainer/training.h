// A training run: opens what the configuration names, trains, evaluates, saves, and can be stopped and taken up again.
#pragma once

#include <filesystem>

#include "trainer/config.h"

namespace retape::trainer {

struct TrainOptions {
  std::filesystem::path config_file;  // that the configuration was read from; empty: none
  bool force = false;                 // replaces files that no run wrote, where they are in the way
};

// Trains to the last step, or until SIGINT, SIGTERM or SIGHUP, which save and leave; the second SIGINT or SIGTERM ends
// it at once. Returns the exit status of the program: 0, or 128 + the signal's number. The settings in force are kept
// beside the run (run/settings_file.h); with train.resume = "never" a run that the folder has is moved
// (run/earlier_run.h). On the meta device it prints the memory that the training would take, and writes nothing.
int train(const Config& config, const TrainOptions& options = {});

}  // namespace retape::trainer
