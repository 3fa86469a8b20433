#include "nn/runtime/device.h"

#include "nn/base/error.h"
#include "nn/runtime/cpu/host_memory.h"
#include "nn/runtime/cpu/host_stream.h"
#include "nn/runtime/cpu/machine.h"
#include "nn/runtime/cpu/side_stream.h"
#include "nn/runtime/cuda/open.h"
#include "nn/runtime/meta/planned_memory.h"
#include "nn/runtime/meta/planned_stream.h"

namespace retape::nn {
namespace {

std::unique_ptr<MemorySource> open_memory(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::cpu: return std::make_unique<cpu::HostMemory>();
    case DeviceKind::cuda: return cuda::open_memory();
    case DeviceKind::meta: return std::make_unique<meta::PlannedMemory>();
  }
  fail<DeviceError>("[device] unknown kind {}", static_cast<int>(kind));
}

}  // namespace

std::string_view name(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::cpu: return "cpu";
    case DeviceKind::cuda: return "cuda";
    case DeviceKind::meta: return "meta";
  }
  return "?";
}

Device::Device(const DeviceOptions& options)
    : kind_(options.kind),
      cpu_(std::make_unique<cpu::Machine>(options.threads)),
      memory_(std::make_unique<Allocator>(options.memory_name.empty() ? std::string(name(kind_)) : options.memory_name,
                                          open_memory(kind_), options.memory_limit)) {
  if (computes()) {
    compute_ = std::make_unique<cpu::HostStream>();
  } else {
    compute_ = std::make_unique<meta::PlannedStream>();
  }
  if (kind_ == DeviceKind::meta && options.modelled == DeviceKind::cuda) {
    cuda::open_memory();
  }
}

Device::~Device() = default;

std::unique_ptr<Stream> Device::open_stream() {
  if (computes()) {
    return std::make_unique<cpu::SideStream>();
  }
  return std::make_unique<meta::PlannedStream>();
}

void Device::copy_from_host(void* device, const void* host, Bytes bytes) {
  compute_->copy(device, host, bytes);
  compute_->record().synchronize();
}

void Device::copy_to_host(void* host, const void* device, Bytes bytes) {
  compute_->copy(host, device, bytes);
  compute_->record().synchronize();
}

}  // namespace retape::nn
