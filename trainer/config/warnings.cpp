#include "trainer/config/warnings.h"

#include <fmt/format.h>

#include <thread>

namespace retape::trainer {

std::vector<std::string> warnings_of(const Config& config, std::int64_t cores) {
  if (cores == 0 || config.run.threads <= cores) {
    return {};
  }
  return {fmt::format("run.threads = {} is more than this machine's {} core{}: threads that take turns are slower",
                      config.run.threads, cores, cores == 1 ? "" : "s")};
}

std::vector<std::string> warnings_of_training(const Config& config) {
  const std::int64_t warmup = config.optimizer.warmup_steps;
  const std::int64_t steps = config.train.steps;
  if (warmup == 0 || warmup < steps) {
    return {};
  }
  return {
      fmt::format("optimizer.warmup_steps = {} reaches to the end of train.steps = {}: the ramp is cut there, and the "
                  "learning rate never gets to optimizer.lr",
                  warmup, steps)};
}

std::int64_t machine_cores() {
  return std::thread::hardware_concurrency();
}

}  // namespace retape::trainer
