#include "nn/runtime/cpu/team.h"

#include <omp.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <latch>
#include <system_error>
#include <thread>
#include <vector>

#include "nn/base/error.h"

namespace retape::nn::cpu {
namespace {

// "OMP_THREAD_LIMIT=1", or the name alone where a call has set what the variable would.
std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string(name) : fmt::format("{}={}", name, value);
}

int live_threads() {
  std::error_code error;
  const std::filesystem::directory_iterator tasks("/proc/self/task", error);
  return error ? 1 : static_cast<int>(std::distance(begin(tasks), end(tasks)));
}

// OpenMP ends the process where the system lets it start too few threads; so they are started for a moment before it
// tries. Those that live already may be the very ones that it will use again.
void try_to_start(Grant& grant) {
  const int live = live_threads();
  std::latch started(1);
  std::vector<std::jthread> threads;
  try {
    for (int n = live; n < grant.threads; ++n) {
      threads.emplace_back([&started] { started.wait(); });
    }
  } catch (const std::system_error& error) {
    grant = {.threads = live + static_cast<int>(threads.size()), .limit = error.code().message()};
  }
  started.count_down();
}

int threads_of_a_region(int wanted) {
  const Team team(wanted);
  int threads = 0;
#pragma omp parallel num_threads(wanted)
  {
#pragma omp single
    threads = omp_get_num_threads();
  }
  return threads;
}

}  // namespace

Grant grant_threads(int wanted) {
  Grant grant{.threads = wanted};
  if (wanted == 0) {
    grant.threads = omp_get_num_procs();
    if (omp_get_max_threads() < grant.threads) {
      grant = {.threads = omp_get_max_threads(), .limit = variable("OMP_NUM_THREADS")};
    }
  }
  if (omp_get_thread_limit() < grant.threads) {
    grant = {.threads = omp_get_thread_limit(), .limit = variable("OMP_THREAD_LIMIT")};
  }
  if (grant.threads > 1) {
    try_to_start(grant);
  }
  if (const int threads = threads_of_a_region(grant.threads); threads < grant.threads) {
    grant = {.threads = threads, .limit = "OpenMP"};
  }
  return grant;
}

Team::Team(int threads)
    : threads_before_(omp_get_max_threads()),
      levels_before_(omp_get_max_active_levels()),
      dynamic_before_(omp_get_dynamic() != 0) {
  require<DeviceError>(threads == 1 || omp_in_parallel() == 0,
                       "[cpu] threads: expected 1 inside a parallel region of OpenMP, got {}", threads);
  omp_set_num_threads(threads);
  omp_set_dynamic(0);
  omp_set_max_active_levels(std::max(levels_before_, 1));
}

Team::~Team() {
  omp_set_num_threads(threads_before_);
  omp_set_dynamic(dynamic_before_ ? 1 : 0);
  omp_set_max_active_levels(levels_before_);
}

}  // namespace retape::nn::cpu
