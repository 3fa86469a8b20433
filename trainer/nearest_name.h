// Finds what a mistyped name was meant to be.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace retape::trainer {

// The fewest insertions, deletions, replacements and swaps of neighbours that turn one name into the other. Upper and
// lower case are the same, and so are '-' and '_'.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The name nearest to `wrong`, the first of several; none where all of them are too far to be what was meant.
std::optional<std::string_view> nearest_name(std::string_view wrong, std::span<const std::string_view> names);

// The end of a message about an unknown name: the nearest of `names`, or all of them where none is near.
std::string suggest_name(std::string_view wrong, std::span<const std::string_view> names);

}  // namespace retape::trainer
