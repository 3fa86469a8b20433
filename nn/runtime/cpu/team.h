// The threads of a parallel region.
//
// OpenMP may give a region fewer threads than it asks for: OMP_DYNAMIC, OMP_THREAD_LIMIT and OMP_MAX_ACTIVE_LEVELS
// allow it to, and so do calls of the program around us. Kernels of ours would only be slower; oneDNN cuts a product
// for the threads that it asks for and leaves parts of it undone. So the number is found out once, by trying, and held
// to.
#pragma once

#include <string>

namespace retape::nn::cpu {

// How many threads a region of the calling thread can have.
struct Grant {
  int threads = 1;
  std::string limit;  // what keeps it from more: "OMP_THREAD_LIMIT=1"; empty where it has all that were wanted
};

// Of `wanted` threads; 0 wants one for each processor that this process may run on, or OMP_NUM_THREADS where that is
// less.
Grant grant_threads(int wanted);

// While it lives, regions of the calling thread that ask for no number have `threads` threads, and no region has fewer
// than it asks for. What the program has set for its own regions comes back when it goes.
class Team {
 public:
  // Throws DeviceError for several threads inside a parallel region, where oneDNN would use one.
  explicit Team(int threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

 private:
  int threads_before_;
  int levels_before_;
  bool dynamic_before_;
};

}  // namespace retape::nn::cpu
