// A device with an allocator that is counted in values of one size.
#pragma once

#include <algorithm>
#include <vector>

#include "nn/runtime/context.h"

namespace retape::nn {

// Counts live blocks of a tag group, and remembers the most there were.
class BlockMeter final : public AllocatorObserver {
 public:
  // Counts activations, checkpoints and recompute.
  explicit BlockMeter(Device& device) : device_(&device) { device.memory().observe(this); }
  ~BlockMeter() override { device_->memory().observe(nullptr); }
  BlockMeter(const BlockMeter&) = delete;
  BlockMeter& operator=(const BlockMeter&) = delete;

  void on_allocate(Tag /*tag*/, Bytes /*bytes*/) override {
    live_ = count();
    peak_ = std::max(peak_, live_);
  }
  void on_free(Tag /*tag*/, Bytes /*bytes*/) override { live_ = count(); }

  // In units of one allocation granule: toy values are one granule each.
  Bytes live() const { return live_; }
  Bytes peak() const { return peak_; }

 private:
  Bytes count() const {
    const PerTag<Bytes>& live = device_->memory().stats().live_by_tag;
    const auto of = [&live](Tag tag) { return live[static_cast<std::size_t>(tag)]; };
    return (of(Tag::activations) + of(Tag::checkpoints) + of(Tag::recompute)) / Allocator::kAlignment;
  }
  Device* device_;
  Bytes live_ = 0;
  Bytes peak_ = 0;
};

}  // namespace retape::nn
