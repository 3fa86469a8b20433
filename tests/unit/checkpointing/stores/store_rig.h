// One rank's device and store, and tensors to put into it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpointing/stores/checkpoint_store.h"
#include "nn/runtime/philox.h"
#include "parallel/comm/group.h"

namespace retape::checkpointing {

using Contents = std::vector<std::byte>;

// Any bits, NaNs and infinities among them.
inline Contents random_contents(Bytes bytes, std::uint64_t seed) {
  const nn::RngRange range{seed, 0};
  Contents contents;
  for (Bytes i = 0; i < bytes; ++i) {
    contents.push_back(static_cast<std::byte>(range.bits(i)));
  }
  return contents;
}

inline Contents contents_of(const nn::Tensor& tensor) {
  Contents contents(static_cast<std::size_t>(tensor.bytes()));
  tensor.device().copy_to_host(contents.data(), tensor.data(), tensor.bytes());
  return contents;
}

inline Bytes held(const nn::MemoryStats& stats, nn::Tag tag) {
  return stats.live_by_tag[static_cast<std::size_t>(tag)];
}

// Ranks given the same seeds make the same tensors.
class StoreRig {
 public:
  explicit StoreRig(const StoreOptions& options, const parallel::Group& group = parallel::Group::self(),
                    nn::DeviceKind kind = nn::DeviceKind::cpu)
      : device({.kind = kind, .threads = 1}),
        store(std::make_unique<CheckpointStore>(device, group, options,
                                                [this](const std::string& text) { warnings.push_back(text); })) {}

  nn::Tensor make(const nn::Shape& shape, nn::DType dtype = nn::DType::f32, std::uint64_t seed = 1) {
    nn::Tensor tensor(device, shape, dtype, nn::Tag::activations);
    const Contents contents = device.computes() ? random_contents(tensor.bytes(), seed) : Contents();
    device.copy_from_host(tensor.data(), contents.data(), tensor.bytes());
    return tensor;
  }
  std::unique_ptr<nn::SavedValue> save(nn::Tensor value, std::string_view name = "x",
                                       nn::Placement placement = nn::Placement::replicated) {
    const nn::ValueInfo info{.name = name,
                             .op = "test",
                             .shape = value.shape(),
                             .dtype = value.dtype(),
                             .bytes = value.bytes(),
                             .reader = &region,
                             .placement = placement};
    return store->save(std::move(value), info);
  }
  const nn::MemoryStats& memory() { return device.memory().stats(); }

  nn::Device device;
  nn::Region region{.name = "h.4"};
  std::vector<std::string> warnings;
  std::unique_ptr<CheckpointStore> store;
};

}  // namespace retape::checkpointing
