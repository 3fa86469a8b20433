// The computing stream of the processor: what is asked of it is done when the call returns.
#pragma once

#include "nn/runtime/stream.h"

namespace retape::nn::cpu {

class HostStream final : public Stream {
 public:
  void wait(const Event& event) override { event.synchronize(); }
  Event record() override { return {}; }
  void run(Task task) override { task(); }
  void copy(void* to, const void* from, Bytes bytes) override;
  void fill_zero(void* memory, Bytes bytes) override;
};

}  // namespace retape::nn::cpu
