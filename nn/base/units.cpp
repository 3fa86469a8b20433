#include "nn/base/units.h"

#include <array>
#include <charconv>
#include <cmath>

#include "nn/base/error.h"

namespace retape::nn {
namespace {

struct Unit {
  std::string_view name;
  double bytes;
};

constexpr std::array kUnits{
    Unit{"", 1},
    Unit{"B", 1},
    Unit{"KiB", 1024.0},
    Unit{"MiB", 1048576.0},
    Unit{"GiB", 1073741824.0},
    Unit{"TiB", 1099511627776.0},
    Unit{"KB", 1e3},
    Unit{"MB", 1e6},
    Unit{"GB", 1e9},
    Unit{"TB", 1e12},
};

}  // namespace

std::string format_bytes(Bytes bytes) {
  constexpr std::array<std::string_view, 5> kNames{"B", "KiB", "MiB", "GiB", "TiB"};
  if (std::abs(bytes) < 1_KiB) {
    return fmt::format("{} B", bytes);
  }
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (std::abs(value) >= 1024.0 && unit + 1 < kNames.size()) {
    value /= 1024.0;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kNames[unit]);
}

Bytes parse_bytes(std::string_view text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  while (unit.starts_with(' ')) {
    unit.remove_prefix(1);
  }
  for (const Unit& known : kUnits) {
    const double bytes = number * known.bytes;
    const bool is_size = number == 0 || (bytes >= 1 && bytes < 9e18);  // a part of a byte is not none
    if (error == std::errc() && known.name == unit && is_size) {
      return static_cast<Bytes>(bytes);
    }
  }
  fail<ConfigError>("[bytes] expected a size such as \"6GiB\", got \"{}\"", text);
}

}  // namespace retape::nn
