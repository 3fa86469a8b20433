// The one allocator. Every byte that a device holds for Retape comes from here, with a tag that says what it is.
//
// The algorithm is deterministic: the same sequence of calls gives the same blocks, the same live and reserved bytes
// and the same failures, whatever addresses the device hands out. The meta device runs it over made-up addresses, which
// is why its predicted peak is the measured peak.
//
// Memory is reserved from the device in segments, cut into blocks (best fit, the smallest segment and offset breaking
// ties) and joined again when neighbours are free. Segments stay reserved for the next step until the limit is near.
//
// One allocator belongs to one rank and is used from that rank's thread only.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "nn/base/units.h"

namespace retape::nn {

// What a block is for.
enum class Tag : std::uint8_t {
  parameters,
  gradients,
  optimizer,
  activations,
  checkpoints,
  recompute,
  workspace,
  communication,
};
inline constexpr int kTagCount = 8;
std::string_view name(Tag tag);

template <class T>
using PerTag = std::array<T, kTagCount>;

// Where segments come from: a device's own memory, or made-up addresses.
class MemorySource {
 public:
  virtual ~MemorySource() = default;
  // `bytes` of memory aligned to kAlignment, or null where the device has no more.
  virtual void* reserve(Bytes bytes) = 0;
  virtual void release(void* memory, Bytes bytes) noexcept = 0;
};

// Sees what changes the counters, after they have been brought up to date. It must not throw.
class AllocatorObserver {
 public:
  virtual ~AllocatorObserver() = default;
  virtual void on_allocate(Tag tag, Bytes bytes) = 0;
  virtual void on_free(Tag tag, Bytes bytes) = 0;
  virtual void on_retag(Tag /*from*/, Tag /*to*/, Bytes /*bytes*/) {}
};

struct MemoryStats {
  Bytes live = 0;             // held by somebody now
  Bytes peak = 0;             // the most that was ever live
  Bytes activation_peak = 0;  // the most that activations, checkpoints and recompute together ever held
  Bytes reserved = 0;         // taken from the device now, live or cached
  Bytes peak_reserved = 0;
  PerTag<Bytes> live_by_tag{};
  PerTag<Bytes> peak_by_tag{};     // each tag's own high-water mark
  PerTag<Bytes> at_peak_by_tag{};  // what each tag held when `peak` was reached
  std::int64_t allocations = 0;

  friend bool operator==(const MemoryStats&, const MemoryStats&) = default;
};

class Allocator {
 public:
  // Block sizes are multiples of this; so is every address.
  static constexpr Bytes kAlignment = 256;

  class Block;

  // `limit` caps the reserved bytes; none leaves it to the source.
  Allocator(std::string name, std::unique_ptr<MemorySource> source, std::optional<Bytes> limit = std::nullopt);
  ~Allocator();
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  // A block of at least `bytes` (rounded up to kAlignment). Throws OutOfMemory, naming who holds what.
  Block* allocate(Bytes bytes, Tag tag);
  void free(Block* block) noexcept;
  // Books a live block under another tag.
  void retag(Block* block, Tag tag) noexcept;

  static void* address(const Block* block) noexcept;
  static Bytes size(const Block* block) noexcept;
  static Tag tag(const Block* block) noexcept;

  const MemoryStats& stats() const { return stats_; }
  // Peaks start again from what is live now.
  void reset_peaks() noexcept;
  // Gives wholly free segments back to the device.
  void release_cached() noexcept;
  // Null removes the observer. It must outlive its use.
  void observe(AllocatorObserver* observer) { observer_ = observer; }
  std::optional<Bytes> limit() const { return limit_; }
  // Live bytes by tag, the largest first, on one line: "parameters 12.0 MiB, optimizer 512.0 KiB", or "nobody".
  std::string who_holds_what() const;

 private:
  struct Segment;
  // Transparent, so that a size alone finds the first block that is large enough.
  struct BySize {
    using is_transparent = void;  // NOLINT(readability-identifier-naming): the library's name
    bool operator()(const Block* a, const Block* b) const noexcept;
    bool operator()(const Block* block, Bytes bytes) const noexcept;
  };

  Block* find_free(Bytes bytes);
  Block* reserve_segment(Bytes bytes);
  Block* reserve_exactly(Bytes bytes);
  void split(Block* block, Bytes bytes);
  void account(Tag tag, Bytes bytes) noexcept;
  [[noreturn]] void fail_out_of_memory(Bytes bytes, Tag tag) const;

  std::string name_;
  std::unique_ptr<MemorySource> source_;
  std::optional<Bytes> limit_;
  std::list<Segment> segments_;
  std::int64_t next_segment_id_ = 0;
  std::set<Block*, BySize> free_;
  MemoryStats stats_;
  AllocatorObserver* observer_ = nullptr;
};

}  // namespace retape::nn
