// Where a run shows its progress.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>

namespace retape::trainer {

struct Screen {
  using Time = std::chrono::steady_clock::time_point;

  std::function<void(std::string_view)> write;  // at once
  std::function<std::int64_t()> columns;        // of the terminal at this moment; 0 where there is none to draw on
  std::function<Time()> now;
};

// Standard output: a terminal unless it is something else, TERM says that it cannot be drawn on, or its width is not
// known.
Screen standard_output();

}  // namespace retape::trainer
