// A device: its memory, and the library state that its kernels use.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "nn/base/units.h"
#include "nn/runtime/allocator.h"
#include "nn/runtime/stream.h"

namespace retape::nn {

enum class DeviceKind : std::uint8_t { cpu, cuda, meta };
std::string_view name(DeviceKind kind);

namespace cpu {
class Machine;
}

struct DeviceOptions {
  DeviceKind kind = DeviceKind::cpu;
  int threads = 0;                                   // worker threads of the cpu device; 0 takes every processor
  std::optional<Bytes> memory_limit = std::nullopt;  // behave as if the device had this much
  DeviceKind modelled = DeviceKind::cpu;             // the device whose workspaces the meta device predicts
  std::string memory_name = {};                      // what messages call the memory; empty takes the name of the kind
};

class Device {
 public:
  explicit Device(const DeviceOptions& options);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  DeviceKind kind() const { return kind_; }
  // True where kernels run; false on meta, which has shapes and bytes only.
  bool computes() const { return kind_ != DeviceKind::meta; }
  Allocator& memory() { return *memory_; }
  // The processor's threads and library handles: of the cpu device, and of a meta device that models one.
  cpu::Machine& cpu() { return *cpu_; }

  // The stream in whose order kernels run and memory is handed out. These go to it, and have ended where the host reads
  // or writes.
  Stream& compute() { return *compute_; }
  void copy_from_host(void* device, const void* host, Bytes bytes);
  void copy_to_host(void* host, const void* device, Bytes bytes);
  void copy(void* to, const void* from, Bytes bytes) { compute_->copy(to, from, bytes); }
  void fill_zero(void* memory, Bytes bytes) { compute_->fill_zero(memory, bytes); }
  // Another one. The device must outlive it.
  std::unique_ptr<Stream> open_stream();

 private:
  DeviceKind kind_;
  std::unique_ptr<cpu::Machine> cpu_;
  std::unique_ptr<Allocator> memory_;
  std::unique_ptr<Stream> compute_;
};

}  // namespace retape::nn
