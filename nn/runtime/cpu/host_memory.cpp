#include "nn/runtime/cpu/host_memory.h"

#include <sys/mman.h>

#include <cstdlib>

namespace retape::nn::cpu {

void* HostMemory::reserve(Bytes bytes) {
  constexpr Bytes kHugePage = 2_MiB;
  // Less than a huge page is asked for only where a memory limit is near, and then every byte counts.
  const Bytes alignment = bytes < kHugePage ? Allocator::kAlignment : kHugePage;
  const auto size = static_cast<std::size_t>(round_up(bytes, alignment));
  void* memory = std::aligned_alloc(static_cast<std::size_t>(alignment), size);
  if (memory != nullptr && alignment == kHugePage) {
    // Advice only: without huge pages the same memory is a little slower to reach.
    (void)madvise(memory, size, MADV_HUGEPAGE);
  }
  return memory;
}

void HostMemory::release(void* memory, Bytes /*bytes*/) noexcept {
  std::free(memory);
}

}  // namespace retape::nn::cpu
