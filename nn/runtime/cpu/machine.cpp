#include "nn/runtime/cpu/machine.h"

#include "nn/base/error.h"
#include "nn/runtime/cpu/extensions.h"

namespace retape::nn::cpu {
namespace {

Grant granted(int threads) {
  require<ConfigError>(threads >= 0, "[cpu] threads: expected 0 or more, got {}", threads);
  Grant grant = grant_threads(threads);
  require<ConfigError>(threads == 0 || grant.threads == threads,
                       "[cpu] threads: expected {}, got {}: {} allows no more", threads, grant.threads, grant.limit);
  return grant;
}

}  // namespace

Machine::Machine(int threads) : grant_(granted(threads)), engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
  require_extensions(extensions_of_kernels(), extensions_of_processor());
}

}  // namespace retape::nn::cpu
