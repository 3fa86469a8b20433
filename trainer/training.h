// A training run: opens what the configuration names, trains, evaluates, saves, and can be stopped and taken up again.
#pragma once

#include <filesystem>

#include "trainer/config.h"

namespace retape::trainer {

// Trains to the last step, or until SIGINT, SIGTERM or SIGHUP, which save and leave; the second SIGINT or SIGTERM ends it
// at once.
// Returns the exit status of the program: 0, or 128 + the signal's number. The settings in force are kept beside the
// run as config.toml. On the meta device it prints the memory that the training would take, and writes nothing.
int train(const Config& config);

}  // namespace retape::trainer
