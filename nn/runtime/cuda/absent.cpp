#include "nn/base/error.h"
#include "nn/runtime/cuda/open.h"

namespace retape::nn::cuda {

std::string why_unavailable() {
  return "this version has no CUDA kernels yet";
}

std::unique_ptr<MemorySource> open_memory() {
  fail<DeviceError>("[device] cuda: {}; set run.device to \"cpu\"", why_unavailable());
}

}  // namespace retape::nn::cuda
