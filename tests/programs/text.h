// Programs as people read them.
#pragma once

#include <string>

#include "tests/programs/program.h"

namespace retape::programs {

// A line for each statement; bodies are indented.
std::string describe(const Program& program);

}  // namespace retape::programs
