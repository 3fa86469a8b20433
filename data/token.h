// A token as it is stored: token files, and text once it is encoded, hold two bytes for each.
#pragma once

#include <cstdint>

namespace retape::data {

using Token = std::uint16_t;

// Ids that a Token can tell apart: the largest vocabulary of a tokenizer.
inline constexpr std::int64_t kMaxVocab = 65536;

}  // namespace retape::data
