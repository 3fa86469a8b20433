// The CUDA backend's entry. A build without it links absent.cpp, whose functions say so.
#pragma once

#include <memory>

#include "nn/runtime/allocator.h"

namespace retape::nn::cuda {

// Throws DeviceError where CUDA was not built or no device is found.
std::unique_ptr<MemorySource> open_memory();

// Why CUDA cannot be used here, for `trainer doctor`; empty where it can.
std::string why_unavailable();

}  // namespace retape::nn::cuda
