#include "nn/runtime/allocator.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "nn/base/error.h"

namespace retape::nn {

struct Allocator::Segment {
  std::int64_t id;
  std::byte* memory;
  Bytes bytes;
  Block* first;
};

class Allocator::Block {
 public:
  std::list<Segment>::iterator segment;
  Bytes offset = 0;
  Bytes size = 0;
  Tag tag = Tag::workspace;
  bool live = false;
  Block* previous = nullptr;  // neighbours in the segment, by offset
  Block* next = nullptr;
};

namespace {

// Small requests share segments of this size; larger ones round up to it, so that a segment can serve again.
constexpr Bytes kSegmentStep = 2_MiB;
constexpr Bytes kSmallSegment = 16_MiB;

}  // namespace

std::string_view name(Tag tag) {
  constexpr PerTag<std::string_view> kNames{"parameters",  "gradients", "optimizer", "activations",
                                            "checkpoints", "recompute", "workspace", "communication"};
  return kNames[static_cast<std::size_t>(tag)];
}

bool Allocator::BySize::operator()(const Block* a, const Block* b) const noexcept {
  return std::tuple(a->size, a->segment->id, a->offset) < std::tuple(b->size, b->segment->id, b->offset);
}
bool Allocator::BySize::operator()(const Block* block, Bytes bytes) const noexcept {
  return block->size < bytes;
}

Allocator::Allocator(std::string name, std::unique_ptr<MemorySource> source, std::optional<Bytes> limit)
    : name_(std::move(name)), source_(std::move(source)), limit_(limit) {}

Allocator::~Allocator() {
  for (Segment& segment : segments_) {
    for (Block* block = segment.first; block != nullptr;) {
      delete std::exchange(block, block->next);
    }
    source_->release(segment.memory, segment.bytes);
  }
}

void* Allocator::address(const Block* block) noexcept {
  return block->segment->memory + block->offset;
}
Bytes Allocator::size(const Block* block) noexcept {
  return block->size;
}
Tag Allocator::tag(const Block* block) noexcept {
  return block->tag;
}

Allocator::Block* Allocator::allocate(Bytes bytes, Tag tag) {
  const Bytes size = round_up(std::max<Bytes>(bytes, 1), kAlignment);
  Block* block = find_free(size);
  if (block == nullptr) {
    block = reserve_segment(size);
  }
  if (block == nullptr) {
    fail_out_of_memory(size, tag);
  }
  free_.erase(block);
  split(block, size);
  block->live = true;
  block->tag = tag;
  ++stats_.allocations;
  account(tag, size);
  if (observer_ != nullptr) {
    observer_->on_allocate(tag, size);
  }
  return block;
}

void Allocator::free(Block* block) noexcept {
  account(block->tag, -block->size);
  if (observer_ != nullptr) {
    observer_->on_free(block->tag, block->size);
  }
  block->live = false;
  if (Block* next = block->next; next != nullptr && !next->live) {
    free_.erase(next);
    block->size += next->size;
    block->next = next->next;
    if (block->next != nullptr) {
      block->next->previous = block;
    }
    delete next;
  }
  if (Block* previous = block->previous; previous != nullptr && !previous->live) {
    free_.erase(previous);
    previous->size += block->size;
    previous->next = block->next;
    if (previous->next != nullptr) {
      previous->next->previous = previous;
    }
    delete block;
    block = previous;
  }
  free_.insert(block);
}

void Allocator::retag(Block* block, Tag tag) noexcept {
  if (block->tag == tag) {
    return;
  }
  account(block->tag, -block->size);
  account(tag, block->size);
  const Tag before = std::exchange(block->tag, tag);
  if (observer_ != nullptr) {
    observer_->on_retag(before, tag, block->size);
  }
}

Allocator::Block* Allocator::find_free(Bytes bytes) {
  const auto fit = free_.lower_bound(bytes);
  return fit == free_.end() ? nullptr : *fit;
}

Allocator::Block* Allocator::reserve_segment(Bytes bytes) {
  const Bytes comfortable = bytes <= kSmallSegment / 2 ? kSmallSegment : round_up(bytes, kSegmentStep);
  if (Block* block = reserve_exactly(comfortable)) {
    return block;
  }
  release_cached();
  for (const Bytes size : {comfortable, bytes}) {
    if (Block* block = reserve_exactly(size)) {
      return block;
    }
  }
  return nullptr;
}

Allocator::Block* Allocator::reserve_exactly(Bytes bytes) {
  // The sum of what a plan reserves may be more than there are addresses.
  if (bytes > limit_.value_or(std::numeric_limits<Bytes>::max()) - stats_.reserved) {
    return nullptr;
  }
  auto block = std::make_unique<Block>();
  void* memory = source_->reserve(bytes);
  if (memory == nullptr) {
    return nullptr;
  }
  segments_.push_back({next_segment_id_++, static_cast<std::byte*>(memory), bytes, block.get()});
  block->segment = std::prev(segments_.end());
  block->size = bytes;
  stats_.reserved += bytes;
  stats_.peak_reserved = std::max(stats_.peak_reserved, stats_.reserved);
  free_.insert(block.get());
  return block.release();
}

void Allocator::split(Block* block, Bytes bytes) {
  if (block->size == bytes) {
    return;
  }
  auto rest = std::make_unique<Block>();
  rest->segment = block->segment;
  rest->offset = block->offset + bytes;
  rest->size = block->size - bytes;
  rest->previous = block;
  rest->next = block->next;
  if (rest->next != nullptr) {
    rest->next->previous = rest.get();
  }
  block->next = rest.get();
  block->size = bytes;
  free_.insert(rest.release());
}

void Allocator::account(Tag tag, Bytes bytes) noexcept {
  const auto t = static_cast<std::size_t>(tag);
  stats_.live += bytes;
  stats_.live_by_tag[t] += bytes;
  stats_.peak_by_tag[t] = std::max(stats_.peak_by_tag[t], stats_.live_by_tag[t]);
  if (stats_.live > stats_.peak) {
    stats_.peak = stats_.live;
    stats_.at_peak_by_tag = stats_.live_by_tag;
  }
  const auto held = [this](Tag of) { return stats_.live_by_tag[static_cast<std::size_t>(of)]; };
  stats_.activation_peak =
      std::max(stats_.activation_peak, held(Tag::activations) + held(Tag::checkpoints) + held(Tag::recompute));
}

void Allocator::reset_peaks() noexcept {
  const auto held = [this](Tag of) { return stats_.live_by_tag[static_cast<std::size_t>(of)]; };
  stats_.peak = stats_.live;
  stats_.peak_reserved = stats_.reserved;
  stats_.peak_by_tag = stats_.live_by_tag;
  stats_.at_peak_by_tag = stats_.live_by_tag;
  stats_.activation_peak = held(Tag::activations) + held(Tag::checkpoints) + held(Tag::recompute);
}

void Allocator::release_cached() noexcept {
  for (auto segment = segments_.begin(); segment != segments_.end();) {
    Block* block = segment->first;
    if (block->live || block->next != nullptr) {
      ++segment;
      continue;
    }
    free_.erase(block);
    delete block;
    stats_.reserved -= segment->bytes;
    source_->release(segment->memory, segment->bytes);
    segment = segments_.erase(segment);
  }
}

std::string Allocator::who_holds_what() const {
  std::vector<std::pair<Bytes, Tag>> holders;
  for (int t = 0; t < kTagCount; ++t) {
    if (const Bytes bytes = stats_.live_by_tag[static_cast<std::size_t>(t)]; bytes > 0) {
      holders.emplace_back(bytes, static_cast<Tag>(t));
    }
  }
  std::ranges::stable_sort(holders, std::greater(), &std::pair<Bytes, Tag>::first);
  std::string list;
  for (const auto& [bytes, tag] : holders) {
    list += fmt::format("{}{} {}", list.empty() ? "" : ", ", name(tag), format_bytes(bytes));
  }
  return list.empty() ? "nobody" : list;
}

void Allocator::fail_out_of_memory(Bytes bytes, Tag tag) const {
  fail<OutOfMemory>("[{}] out of memory: {} more needed for {}, {} live, {} reserved{}; held by {}", name_,
                    format_bytes(bytes), name(tag), format_bytes(stats_.live), format_bytes(stats_.reserved),
                    limit_ ? fmt::format(" of a limit of {}", format_bytes(*limit_)) : std::string(),
                    Whole{who_holds_what()});
}

}  // namespace retape::nn
