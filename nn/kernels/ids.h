// Checks of ids before they become addresses.
#pragma once

#include <cstdint>

#include "nn/base/units.h"

namespace retape::nn {

// *first = the position of the first id that is not in [0, below), or -1 where there is none.
struct FindForeignId {
  const std::int32_t* ids = nullptr;  // [count]
  Elems count = 0;
  std::int64_t below = 0;
  Elems* first = nullptr;  // on the host
};

}  // namespace retape::nn
