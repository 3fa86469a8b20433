// The learning rate of each step.
#pragma once

#include <cstdint>

namespace retape::nn {

enum class ScheduleKind : std::uint8_t { constant, cosine };

// Linear warm-up over the first `warmup_steps`, then constant, or a half cosine from `lr` to `min_lr` at step `steps`.
// A warm-up that is longer than the run is cut where the run ends: its rates are those of a longer run's first steps.
struct Schedule {
  ScheduleKind kind = ScheduleKind::constant;
  double lr = 1e-3;
  double min_lr = 0;
  std::int64_t warmup_steps = 0;
  std::int64_t steps = 0;

  // Steps count from 0; warm-up starts at lr / (warmup_steps + 1), so that no step is wasted at 0.
  double at(std::int64_t step) const;
};

}  // namespace retape::nn
