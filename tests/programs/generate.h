// Programs at random: each a pure function of a seed and its number.
#pragma once

#include <cstdint>

#include "tests/programs/program.h"

namespace retape::programs {

Program generate(std::uint64_t seed, std::int64_t number);

}  // namespace retape::programs
