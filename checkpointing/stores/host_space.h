// The memory of the host, as a place for values that the device has no room for.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "nn/tensor/tensor.h"

namespace retape::checkpointing {

using Warn = std::function<void(const std::string&)>;

// What is to lie on the host, for the warning that it cannot.
struct HostRequest {
  std::string_view what;   // is allocated: the value, or the buffer that it comes into
  Bytes bytes = 0;         // of that
  std::string_view value;  // stays on the device instead
};

// A memory space with accounts and a limit of its own; only planned where `device` is meta. Freed memory is kept for
// the next step.
class HostSpace {
 public:
  HostSpace(nn::Device& device, std::optional<Bytes> limit, Warn warn);

  nn::Device& device() { return space_; }
  const nn::MemoryStats& stats() const { return stats_; }

  // Calls `allocate`; an undefined tensor where the host's memory is exhausted. Warns of that once.
  nn::Tensor try_allocate(const std::function<nn::Tensor()>& allocate, const HostRequest& request);

 private:
  nn::Device space_;
  const nn::MemoryStats& stats_;
  Warn warn_;
};

}  // namespace retape::checkpointing
