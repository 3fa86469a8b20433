#include "trainer/nearest_name.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

namespace retape::trainer {
namespace {

constexpr std::size_t kLongestName = 64;

char folded(char c) {
  if (c >= 'A' && c <= 'Z') {
    return static_cast<char>(c - 'A' + 'a');
  }
  return c == '-' ? '_' : c;
}

// "batch" for "batch_size": more letters away than a mistyped name, and yet meant.
bool is_abbreviation(std::string_view wrong, std::string_view name) {
  return wrong.size() >= 3 && edit_distance(wrong, name.substr(0, wrong.size())) == 0;
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  // Rows of the table for prefixes of `a` two shorter, one shorter and the present one; columns are prefixes of `b`.
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) {
    row[j] = j;
  }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::swap(before_last, last);
    std::swap(last, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = folded(a[i - 1]) == folded(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      const bool swapped =
          i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) && folded(a[i - 2]) == folded(b[j - 1]);
      if (swapped) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

std::optional<std::string_view> nearest_name(std::string_view wrong, std::span<const std::string_view> names) {
  if (wrong.size() > kLongestName) {
    return std::nullopt;
  }
  std::optional<std::string_view> nearest;
  std::size_t fewest = 0;
  for (const std::string_view name : names) {
    const std::size_t edits = is_abbreviation(wrong, name) ? 1 : edit_distance(wrong, name);
    const bool near = edits <= std::max(wrong.size(), name.size()) / 2;
    if (near && (!nearest || edits < fewest)) {
      nearest = name;
      fewest = edits;
    }
  }
  return nearest;
}

std::string suggest_name(std::string_view wrong, std::span<const std::string_view> names) {
  if (const auto nearest = nearest_name(wrong, names)) {
    return fmt::format("did you mean \"{}\"?", *nearest);
  }
  return fmt::format("the names are {}", fmt::join(names, ", "));
}

}  // namespace retape::trainer
