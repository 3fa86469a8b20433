// Memory that does not exist: distinct, aligned addresses that must never be read or written.
#pragma once

#include <cstdint>

#include "nn/runtime/allocator.h"

namespace retape::nn::meta {

class PlannedMemory final : public MemorySource {
 public:
  void* reserve(Bytes bytes) override;
  void release(void* memory, Bytes bytes) noexcept override;

 private:
  std::uintptr_t next_ = 1U << 20;  // clear of null, and of anything a stray offset from null would reach
};

}  // namespace retape::nn::meta
