// One allocation that holds many tensors, of any mix of sizes, freed in any order.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "checkpointing/stores/first_fit.h"
#include "nn/tensor/tensor.h"

namespace retape::checkpointing {

// How large a slab is: `number_checkpoints` times its first tensor, else `bytes`. With both 0 it measures: its tensors
// are allocations of their own, and top() is the size that a slab would need for them.
struct SlabSize {
  std::int64_t number_checkpoints = 0;
  Bytes bytes = 0;
};

// Tensors begin at multiples of the allocator's alignment. Each holds its place in the slab, and the slab, until the
// last copy of it goes; nothing else is to be kept. The same calls give the same addresses, in each step again.
class Slab : public std::enable_shared_from_this<Slab> {
 public:
  // The device must outlive the slab and its tensors.
  static std::shared_ptr<Slab> create(nn::Device& device, SlabSize size);

  // Uninitialised; booked as Tag::checkpoints. The first call allocates the slab.
  // Throws Error where the slab has no room, naming the setting and `name`; OutOfMemory where the device has none.
  nn::Tensor allocate(const nn::Shape& shape, nn::DType dtype, std::string_view name);

  // What the next tensor, of so many bytes, makes the slab take from the device; 0 where it is there, or measures.
  Bytes bytes_to_open(Bytes first_bytes) const;

  // Lets the memory go as soon as no tensor is in it. The next tensor after that allocates again.
  void reset();

  bool measuring() const { return size_.number_checkpoints == 0 && size_.bytes == 0; }
  // Allocated now; 0 where it measures.
  Bytes capacity() const { return memory_ == nullptr ? 0 : places_->capacity(); }
  Bytes live() const { return places_ ? places_->live() : 0; }
  // The most that was ever live, and where the highest tensor ever ended: equal where nothing was lost to gaps.
  Bytes most_live() const { return most_live_; }
  Bytes top() const { return top_; }

 private:
  class Place;

  Slab(nn::Device& device, SlabSize size) : device_(&device), size_(size) {}
  Bytes capacity_for(Bytes first_bytes) const;
  void open(Bytes first_bytes);
  void give_back(Bytes offset) noexcept;
  void let_go();
  [[noreturn]] void fail_full(Bytes bytes, std::string_view name) const;

  nn::Device* device_;
  SlabSize size_;
  std::optional<FirstFit> places_;
  std::shared_ptr<nn::Storage> memory_;
  Bytes first_bytes_ = 0;
  Bytes most_live_ = 0;
  Bytes top_ = 0;
  bool resetting_ = false;
};

}  // namespace retape::checkpointing
