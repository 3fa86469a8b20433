// Who may include whom, as data, and the check of one source file against it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace retape::layering {

// The folder that a path from the root belongs to, as the rules name it: "nn/ops" for "nn/ops/gelu.h".
// Empty for a path that belongs to no layer.
std::string_view layer_of(std::string_view path);

// True if sources of `layer` may include headers of `other`: the same layer or one below it.
bool may_include(std::string_view layer, std::string_view other);

// What breaks the rules in the source file `path` (from the root) with this text, one line each, as
//   nn/ops/gelu.cpp:3: nn/ops may not include nn/layers/linear.h
std::vector<std::string> violations(std::string_view path, std::string_view text);

}  // namespace retape::layering
