// Numbers as people write them, read strictly: what is none, or is out of range, is never taken for another.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace retape::trainer {

// Decimal digits, with a minus before them or not, and nothing else. None for what 64 bits do not hold.
std::optional<std::int64_t> parse_integer(std::string_view text);

// A decimal number, "0.8" or "1e-3", and nothing else. None for what a double does not hold, and for infinity and NaN.
std::optional<double> parse_number(std::string_view text);

}  // namespace retape::trainer
