#include "checkpointing/stores/host_space.h"

#include <utility>

#include "nn/base/error.h"
#include "nn/runtime/cpu/machine.h"

namespace retape::checkpointing {
namespace {

nn::DeviceOptions host_options(nn::Device& device, std::optional<Bytes> limit) {
  return {
      .kind = device.computes() ? nn::DeviceKind::cpu : nn::DeviceKind::meta,
      // Nothing computes there, but opening a device sets OpenMP's number of threads for the thread that opens it.
      .threads = device.cpu().threads(),
      .memory_limit = limit,
      .memory_name = "host",
  };
}

}  // namespace

HostSpace::HostSpace(nn::Device& device, std::optional<Bytes> limit, Warn warn)
    : space_(host_options(device, limit)), stats_(space_.memory().stats()), warn_(std::move(warn)) {}

nn::Tensor HostSpace::try_allocate(const std::function<nn::Tensor()>& allocate, const HostRequest& request) {
  try {
    return allocate();
  } catch (const OutOfMemory&) {
    if (const Warn warn = std::exchange(warn_, nullptr)) {
      const std::optional<Bytes> limit = space_.memory().limit();
      const std::string within = limit ? fmt::format(" within the limit of {}", format_bytes(*limit)) : std::string();
      warn(
          fmt::format("[checkpointing] host memory is exhausted: {} of {} does not fit beside the {} in use{}; {} "
                      "stays on the device, as will others",
                      request.what, format_bytes(request.bytes), format_bytes(stats_.live), within, request.value));
    }
    return {};
  }
}

}  // namespace retape::checkpointing
