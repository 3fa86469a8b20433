#include "nn/runtime/meta/planned_memory.h"

namespace retape::nn::meta {

void* PlannedMemory::reserve(Bytes bytes) {
  const std::uintptr_t address = next_;
  next_ += static_cast<std::uintptr_t>(round_up(bytes, Allocator::kAlignment));
  return reinterpret_cast<void*>(address);  // NOLINT(performance-no-int-to-ptr): never dereferenced
}

void PlannedMemory::release(void* /*memory*/, Bytes /*bytes*/) noexcept {}

}  // namespace retape::nn::meta
