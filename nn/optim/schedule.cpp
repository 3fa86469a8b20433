#include "nn/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace retape::nn {

double Schedule::at(std::int64_t step) const {
  if (step < warmup_steps) {
    return lr * static_cast<double>(step + 1) / static_cast<double>(warmup_steps + 1);
  }
  if (kind == ScheduleKind::constant) {
    return lr;
  }
  const auto after = static_cast<double>(step - warmup_steps);
  const auto span = static_cast<double>(std::max<std::int64_t>(steps - warmup_steps, 1));
  const double progress = std::min(after / span, 1.0);
  return min_lr + 0.5 * (1 + std::cos(std::numbers::pi * progress)) * (lr - min_lr);
}

}  // namespace retape::nn
