// Long random sequences of calls, against a model that keeps a plain list of blocks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "nn/base/error.h"
#include "nn/runtime/allocator.h"
#include "nn/runtime/cpu/host_memory.h"
#include "nn/runtime/meta/planned_memory.h"
#include "nn/runtime/philox.h"
#include "tests/unit/nn/runtime/segment_log.h"

namespace retape::nn {
namespace {

constexpr Bytes kLimit = 200_MiB;
constexpr int kCalls = 4000;

struct HeldBlock {
  Allocator::Block* block;
  Place place;
  Bytes bytes;
  Tag tag;
  std::byte mark;  // written to its ends where there is memory
};

// What happened in one call; equal sequences give equal events on every device.
struct Event {
  std::optional<Place> place;  // none: out of memory, or no allocation
  MemoryStats stats;
  friend bool operator==(const Event&, const Event&) = default;
};

class Stress {
 public:
  Stress(std::unique_ptr<MemorySource> source, std::uint64_t seed, bool writes)
      : memory_("test", std::make_unique<LoggedSource>(std::move(source), log_), kLimit),
        random_(RngState{seed, 0}),
        writes_(writes) {}

  std::vector<Event> run() {
    std::vector<Event> events;
    for (int i = 0; i < kCalls; ++i) {
      events.push_back({call(), memory_.stats()});
      check();
    }
    while (!held_.empty()) {
      free_one();
    }
    check();
    memory_.release_cached();  // only segments that are one free block again can go
    EXPECT_EQ(memory_.stats().reserved, 0);
    return events;
  }

  int failures() const { return failures_; }

 private:
  std::uint32_t below(std::uint32_t n) { return random_.draw(1).bits(0) % n; }

  std::optional<Place> call() {
    const std::uint32_t kind = below(100);
    if (kind < 52 || held_.empty()) {
      return allocate_one();
    }
    if (kind < 90) {
      free_one();
    } else if (kind < 99) {
      retag_one();
    } else {
      memory_.release_cached();
    }
    return std::nullopt;
  }

  std::optional<Place> allocate_one() {
    // Sizes of very different orders, from nothing to 32 MiB.
    const auto bytes = static_cast<Bytes>(below(1U << (5 + below(21))));
    const Tag tag = static_cast<Tag>(below(kTagCount));
    Allocator::Block* block = nullptr;
    try {
      block = memory_.allocate(bytes, tag);
    } catch (const OutOfMemory&) {
      ++failures_;
      return std::nullopt;
    }
    EXPECT_GE(Allocator::size(block), bytes);
    held_.push_back({block, log_.place(Allocator::address(block)), Allocator::size(block), tag,
                     static_cast<std::byte>(below(256))});
    if (writes_) {
      *first_byte(held_.back()) = held_.back().mark;
      *last_byte(held_.back()) = held_.back().mark;
    }
    return held_.back().place;
  }

  void free_one() {
    const std::size_t i = below(static_cast<std::uint32_t>(held_.size()));
    if (writes_) {
      EXPECT_EQ(*first_byte(held_[i]), held_[i].mark);
      EXPECT_EQ(*last_byte(held_[i]), held_[i].mark);
    }
    memory_.free(held_[i].block);
    held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(i));
  }

  void retag_one() {
    HeldBlock& held = held_[below(static_cast<std::uint32_t>(held_.size()))];
    held.tag = static_cast<Tag>(below(kTagCount));
    memory_.retag(held.block, held.tag);
  }

  void check() {
    const MemoryStats& stats = memory_.stats();
    PerTag<Bytes> by_tag{};
    for (const HeldBlock& held : held_) {
      by_tag[static_cast<std::size_t>(held.tag)] += held.bytes;
    }
    const auto of = [&by_tag](Tag tag) { return by_tag[static_cast<std::size_t>(tag)]; };
    const Bytes live = std::accumulate(by_tag.begin(), by_tag.end(), Bytes{0});
    if (live > peak_) {
      peak_ = live;
      at_peak_ = by_tag;
    }
    activation_peak_ = std::max(activation_peak_, of(Tag::activations) + of(Tag::checkpoints) + of(Tag::recompute));
    for (std::size_t t = 0; t < by_tag.size(); ++t) {
      peak_by_tag_[t] = std::max(peak_by_tag_[t], by_tag[t]);
    }
    ASSERT_EQ(stats.live, live);
    ASSERT_EQ(stats.live_by_tag, by_tag);
    ASSERT_EQ(stats.peak, peak_);
    ASSERT_EQ(stats.at_peak_by_tag, at_peak_);
    ASSERT_EQ(stats.peak_by_tag, peak_by_tag_);
    ASSERT_EQ(stats.activation_peak, activation_peak_);
    ASSERT_EQ(stats.reserved, log_.reserved_bytes());
    ASSERT_LE(stats.reserved, kLimit);
    ASSERT_LE(stats.reserved, stats.peak_reserved);
    check_overlap();
  }

  void check_overlap() const {
    std::vector<HeldBlock> sorted = held_;
    std::sort(sorted.begin(), sorted.end(), [](const HeldBlock& a, const HeldBlock& b) {
      return std::tie(a.place.segment, a.place.offset) < std::tie(b.place.segment, b.place.offset);
    });
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      const auto& [segment, offset] = sorted[i].place;
      const bool last = i + 1 == sorted.size() || sorted[i + 1].place.segment != segment;
      const Bytes end = last ? log_.segments[segment].bytes : sorted[i + 1].place.offset;
      ASSERT_LE(offset + sorted[i].bytes, end) << sorted[i].place;
    }
  }

  static std::byte* first_byte(const HeldBlock& held) {
    return static_cast<std::byte*>(Allocator::address(held.block));
  }
  static std::byte* last_byte(const HeldBlock& held) { return first_byte(held) + held.bytes - 1; }

  SegmentLog log_;
  Allocator memory_;
  Generator random_;
  bool writes_;
  std::vector<HeldBlock> held_;
  int failures_ = 0;
  Bytes peak_ = 0;
  Bytes activation_peak_ = 0;
  PerTag<Bytes> peak_by_tag_{};
  PerTag<Bytes> at_peak_{};
};

TEST(AllocatorStress, AgreesWithTheModelAndBetweenDevices) {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    SCOPED_TRACE(seed);
    Stress on_cpu(std::make_unique<cpu::HostMemory>(), seed, true);
    Stress on_meta(std::make_unique<meta::PlannedMemory>(), seed, false);
    const std::vector<Event> events = on_cpu.run();
    EXPECT_TRUE(events == on_meta.run());
    EXPECT_GT(on_cpu.failures(), 0) << "the limit was never reached";
    EXPECT_EQ(on_cpu.failures(), on_meta.failures());
  }
}

}  // namespace
}  // namespace retape::nn
