// Pages of the processor's own memory, huge ones where the system gives them.
#pragma once

#include "nn/runtime/allocator.h"

namespace retape::nn::cpu {

class HostMemory final : public MemorySource {
 public:
  void* reserve(Bytes bytes) override;
  void release(void* memory, Bytes bytes) noexcept override;
};

}  // namespace retape::nn::cpu
