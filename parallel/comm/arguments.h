// Checks of what callers pass to a communicator, for its backends.
#pragma once

#include <string_view>

#include "nn/base/error.h"
#include "nn/base/units.h"

namespace retape::parallel {

inline void check_count(std::string_view place, std::int64_t count) {
  require<CommError>(count >= 0, "[comm] {}: expected a size of at least 0, got {}", place, count);
}

inline void check_root(int root, int size) {
  require<CommError>(0 <= root && root < size, "[comm] broadcast: expected a root of 0 to {}, got {}", size - 1, root);
}

}  // namespace retape::parallel
