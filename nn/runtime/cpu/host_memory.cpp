#include "nn/runtime/cpu/host_memory.h"

#include <sys/mman.h>

#include <cstdlib>

namespace retape::nn::cpu {

void* HostMemory::reserve(Bytes bytes) {
  constexpr Bytes kHugePage = 2_MiB;
  const auto size = static_cast<std::size_t>(round_up(bytes, kHugePage));
  void* memory = std::aligned_alloc(static_cast<std::size_t>(kHugePage), size);
  if (memory != nullptr) {
    // Advice only: without huge pages the same memory is a little slower to reach.
    (void)madvise(memory, size, MADV_HUGEPAGE);
  }
  return memory;
}

void HostMemory::release(void* memory, Bytes /*bytes*/) noexcept {
  std::free(memory);
}

}  // namespace retape::nn::cpu
