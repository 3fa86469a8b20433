#include "nn/runtime/cpu/machine.h"

#include <omp.h>

#include "nn/base/error.h"
#include "nn/runtime/cpu/extensions.h"

namespace retape::nn::cpu {

Machine::Machine(int threads)
    : threads_(threads > 0 ? threads : omp_get_num_procs()), engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
  require<ConfigError>(threads >= 0, "[cpu] threads: expected 0 or more, got {}", threads);
  require_extensions(extensions_of_kernels(), extensions_of_processor());
  // oneDNN asks OpenMP how many threads the calling thread may start.
  omp_set_num_threads(threads_);
}

}  // namespace retape::nn::cpu
