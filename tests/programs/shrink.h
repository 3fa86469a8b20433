// Makes a program that fails small, so that a person can read it.
#pragma once

#include <functional>

#include "tests/programs/program.h"

namespace retape::programs {

// Takes away statements, ranks and settings for as long as `fails` says so of what is left. Nothing more can then be
// taken away by itself. `fails` is asked at most `tries` times.
Program shrink(Program program, const std::function<bool(const Program&)>& fails, int tries = 2000);

}  // namespace retape::programs
