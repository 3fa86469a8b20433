// Settings that are allowed and yet hardly what was meant.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/config.h"

namespace retape::trainer {

// Of a command that computes on a machine with that many cores; a line each.
std::vector<std::string> warnings_of(const Config& config, std::int64_t cores);

// Of a training besides: a warm-up that the run does not reach the end of.
std::vector<std::string> warnings_of_training(const Config& config);

// The cores that this process may run on; 0 where that is not known.
std::int64_t machine_cores();

}  // namespace retape::trainer
