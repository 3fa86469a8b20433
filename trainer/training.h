// A training run: opens what the configuration names, trains, evaluates, saves, and can be stopped and taken up again.
#pragma once

#include "trainer/config.h"
#include "trainer/run/outputs.h"

namespace retape::trainer {

// Trains to the last step, or until SIGINT, SIGTERM or SIGHUP, which save and leave; the second SIGINT or SIGTERM ends
// it at once. Returns the exit status of the program: 0, or 128 + the signal's number. The settings in force are kept
// beside the run (run/settings_file.h); with train.resume = "never" a run that the folder has is moved
// (run/earlier_run.h). On the meta device it prints the memory that the training would take, and writes nothing.
int train(const Config& config, const OutputOptions& options = {});

}  // namespace retape::trainer
