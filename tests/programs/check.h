// What must be true of every program: with each policy and store, gradients are those of keeping everything, to the
// bit; memory and work are those that the meta device predicts, to the byte; nothing is left behind.
#pragma once

#include <string>

#include "tests/programs/program.h"

namespace retape::programs {

// What is wrong, in one line; empty where nothing is.
std::string check(const Program& program);

}  // namespace retape::programs
