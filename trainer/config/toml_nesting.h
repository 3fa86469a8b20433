// TOML++ bounds how deep brackets nest, but not how many names a dotted key has: each is a table within a table, and a
// page of them is more than the stack can take apart again.
#pragma once

#include <cstddef>
#include <string_view>

namespace retape::trainer {

inline constexpr std::size_t kMostNamesInKey = 8;  // of which a configuration needs two

// The offset of the first dot that leads to more names than that, outside of strings and comments; npos where there is
// none. In text that is no TOML it finds what stands before the error.
std::size_t find_deep_key(std::string_view toml);

}  // namespace retape::trainer
