// The version of Retape: the one place where it is written. CMake reads it here, for the package that it installs.
#pragma once

#include <string_view>

namespace retape {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace retape
