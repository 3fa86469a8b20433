// Single values of a checkpoint's state. Nothing is converted: 1.5 is no integer, and 1 is not true. What is missing,
// of another type or out of range is a DataError "[checkpoint] FILE: state "KEY": expected ..., got ...".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "trainer/checkpoint_files.h"

namespace retape::trainer {

std::int64_t saved_integer(const Checkpoint& checkpoint, std::string_view key, std::int64_t least, std::int64_t most);

// All 64 bits, as of a seed.
std::uint64_t saved_bits(const Checkpoint& checkpoint, std::string_view key);

bool saved_flag(const Checkpoint& checkpoint, std::string_view key);

// Lives as long as the checkpoint.
const std::string& saved_text(const Checkpoint& checkpoint, std::string_view key);

}  // namespace retape::trainer
