// A memory source that remembers its segments, so that tests see an address as {segment, offset}.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <ostream>
#include <utility>
#include <vector>

#include "nn/runtime/allocator.h"

namespace retape::nn {

// An address, whatever the device's own addresses are.
struct Place {
  std::size_t segment = 0;  // counted from 0 in the order of reservation
  Bytes offset = 0;
  friend bool operator==(const Place&, const Place&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Place& place) {
    return out << "{segment " << place.segment << ", offset " << place.offset << "}";
  }
};

struct SegmentLog {
  struct Segment {
    const std::byte* memory;
    Bytes bytes;
    bool reserved;
  };
  std::vector<Segment> segments;

  Place place(const void* address) const {
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const Bytes offset = static_cast<const std::byte*>(address) - segments[i].memory;
      if (segments[i].reserved && offset >= 0 && offset < segments[i].bytes) {
        return {i, offset};
      }
    }
    ADD_FAILURE() << address << " is in no reserved segment";
    return {};
  }

  Bytes reserved_bytes() const {
    Bytes sum = 0;
    for (const Segment& segment : segments) {
      sum += segment.reserved ? segment.bytes : 0;
    }
    return sum;
  }
};

// Reserves from `inner` and writes to a log that outlives it.
class LoggedSource final : public MemorySource {
 public:
  LoggedSource(std::unique_ptr<MemorySource> inner, SegmentLog& log) : inner_(std::move(inner)), log_(&log) {}

  void* reserve(Bytes bytes) override {
    void* memory = inner_->reserve(bytes);
    if (memory != nullptr) {
      log_->segments.push_back({static_cast<std::byte*>(memory), bytes, true});
    }
    return memory;
  }

  void release(void* memory, Bytes bytes) noexcept override {
    for (SegmentLog::Segment& segment : log_->segments) {
      if (segment.reserved && segment.memory == memory) {
        EXPECT_EQ(segment.bytes, bytes);
        segment.reserved = false;
      }
    }
    inner_->release(memory, bytes);
  }

 private:
  std::unique_ptr<MemorySource> inner_;
  SegmentLog* log_;
};

}  // namespace retape::nn
