#include "nn/runtime/allocator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "nn/base/error.h"
#include "nn/runtime/meta/planned_memory.h"
#include "tests/unit/nn/runtime/segment_log.h"

namespace retape::nn {
namespace {

// Small requests share segments of this size.
constexpr Bytes kSegment = 16_MiB;

// Blocks over made-up memory, which is enough to see where they lie.
class AllocatorTest : public ::testing::Test {
 protected:
  using Block = Allocator::Block;

  Block* take(Bytes bytes) { return memory_.allocate(bytes, Tag::activations); }
  Place place(const Block* block) const { return log_.place(Allocator::address(block)); }
  Bytes reserved() const { return memory_.stats().reserved; }
  void free(const std::vector<Block*>& blocks) {
    for (Block* block : blocks) {
      memory_.free(block);
    }
  }

  // Holes of these sizes, one after the other, with a live block of kAlignment after each.
  void make_holes(const std::vector<Bytes>& sizes) {
    std::vector<Block*> holes;
    for (const Bytes size : sizes) {
      holes.push_back(take(size));
      take(1);
    }
    free(holes);
  }

  SegmentLog log_;
  Allocator memory_{"test", std::make_unique<LoggedSource>(std::make_unique<meta::PlannedMemory>(), log_)};
};

TEST_F(AllocatorTest, RoundsSizesUpToTheAlignment) {
  for (const auto& [bytes, expected] : {std::pair<Bytes, Bytes>{0, 256}, {1, 256}, {256, 256}, {257, 512}}) {
    const Block* block = take(bytes);
    EXPECT_EQ(Allocator::size(block), expected);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(Allocator::address(block)) % Allocator::kAlignment, 0U);
  }
}

TEST_F(AllocatorTest, ZeroBytesAreABlockOfTheirOwn) {
  const Block* a = take(0);
  const Block* b = take(0);
  EXPECT_NE(Allocator::address(a), Allocator::address(b));
  EXPECT_EQ(memory_.stats().live, 512);
}

TEST_F(AllocatorTest, SmallBlocksShareASegmentAndLargeOnesHaveTheirOwn) {
  EXPECT_EQ(place(take(1_MiB)), (Place{0, 0}));
  EXPECT_EQ(place(take(2_MiB)), (Place{0, 1_MiB}));
  EXPECT_EQ(reserved(), kSegment);
  // A segment of its own is rounded up, and what is over serves others.
  EXPECT_EQ(place(take(21_MiB)), (Place{1, 0}));
  EXPECT_EQ(reserved(), kSegment + 22_MiB);
  EXPECT_EQ(place(take(1_MiB)), (Place{1, 21_MiB}));
  EXPECT_EQ(reserved(), kSegment + 22_MiB);
}

TEST_F(AllocatorTest, TakesTheSmallestHoleThatIsLargeEnough) {
  make_holes({3_MiB, 1_MiB, 2_MiB});
  EXPECT_EQ(place(take(1_MiB)), (Place{0, 3_MiB + 256}));
  EXPECT_EQ(place(take(1_MiB + 1)), (Place{0, 4_MiB + 512}));
  EXPECT_EQ(place(take(2_MiB + 1)), (Place{0, 0}));
  EXPECT_EQ(reserved(), kSegment);
}

TEST_F(AllocatorTest, AmongEqualHolesTakesTheFirst) {
  make_holes({1_MiB, 1_MiB, 14_MiB - 768, 1_MiB});  // the last lies in a second segment
  ASSERT_EQ(log_.segments.size(), 2U);
  EXPECT_EQ(place(take(1_MiB)), (Place{0, 0}));
  EXPECT_EQ(place(take(1_MiB)), (Place{0, 1_MiB + 256}));
  EXPECT_EQ(place(take(1_MiB)), (Place{1, 0}));
}

TEST_F(AllocatorTest, SplitsAHoleAndServesFromItsRest) {
  make_holes({3_MiB});
  EXPECT_EQ(place(take(1_MiB)), (Place{0, 0}));
  EXPECT_EQ(place(take(2_MiB)), (Place{0, 1_MiB}));
}

TEST_F(AllocatorTest, JoinsNeighboursInWhateverOrderTheyAreFreed) {
  std::array<std::size_t, 3> order{0, 1, 2};
  do {
    const std::array<Block*, 3> blocks{take(1_MiB), take(2_MiB), take(3_MiB)};
    Block* fence = take(1);
    for (const std::size_t i : order) {
      memory_.free(blocks[i]);
    }
    Block* joined = take(6_MiB);
    EXPECT_EQ(place(joined), (Place{0, 0}));
    EXPECT_EQ(place(fence), (Place{0, 6_MiB}));
    free({joined, fence});
  } while (std::next_permutation(order.begin(), order.end()));
  EXPECT_EQ(reserved(), kSegment);
}

TEST_F(AllocatorTest, HolesThatAreTooSmallDoNotServe) {
  std::array<Block*, 16> blocks{};
  for (Block*& block : blocks) {
    block = take(1_MiB);
  }
  std::vector<Block*> odd;
  for (std::size_t i = 0; i < blocks.size(); i += 2) {
    memory_.free(blocks[i]);
    odd.push_back(blocks[i + 1]);
  }
  // Half of the segment is free, but nowhere two MiB of it together.
  Block* large = take(2_MiB);
  EXPECT_EQ(place(large), (Place{1, 0}));
  EXPECT_EQ(reserved(), 2 * kSegment);
  memory_.free(large);
  free(odd);
  EXPECT_EQ(memory_.stats().live, 0);
  EXPECT_EQ(place(take(kSegment)), (Place{0, 0}));
  EXPECT_EQ(place(take(kSegment)), (Place{1, 0}));
  EXPECT_EQ(reserved(), 2 * kSegment);
}

// A step that reserves nothing leaves the free blocks as it found them, so the next one runs the same.
TEST_F(AllocatorTest, StepsSettleOnTheSamePlaces) {
  const auto step = [this] {
    std::vector<Place> places;
    std::vector<Block*> blocks;
    for (const Bytes bytes : {5_MiB, 300_KiB, 20_MiB, 1_MiB, 9_MiB, 700_KiB}) {
      blocks.push_back(take(bytes));
      places.push_back(place(blocks.back()));
    }
    free(blocks);
    return places;
  };
  take(2_MiB);  // lives on, as weights do
  step();
  const Bytes reserved_by_first = reserved();
  const std::vector<Place> second = step();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(step(), second);
    EXPECT_EQ(reserved(), reserved_by_first);
  }
}

TEST_F(AllocatorTest, GivesBackOnlySegmentsThatAreWhollyFree) {
  Block* small = take(1_MiB);
  Block* large = take(30_MiB);
  Block* other = take(40_MiB);
  memory_.free(large);
  memory_.release_cached();
  EXPECT_EQ(reserved(), kSegment + 40_MiB);
  EXPECT_FALSE(log_.segments[1].reserved);
  free({small, other});
  EXPECT_EQ(reserved(), kSegment + 40_MiB);
  memory_.release_cached();
  EXPECT_EQ(reserved(), 0);
  EXPECT_EQ(log_.reserved_bytes(), 0);
  EXPECT_EQ(place(take(1)), (Place{3, 0}));
}

TEST_F(AllocatorTest, ReleasesItsSegmentsWhenItGoes) {
  SegmentLog log;
  {
    Allocator memory("test", std::make_unique<LoggedSource>(std::make_unique<meta::PlannedMemory>(), log));
    memory.allocate(1_MiB, Tag::parameters);
    memory.free(memory.allocate(20_MiB, Tag::parameters));
    EXPECT_EQ(log.reserved_bytes(), 36_MiB);
  }
  EXPECT_EQ(log.reserved_bytes(), 0);
}

// A device that holds `capacity` and no more.
class SmallSource final : public MemorySource {
 public:
  explicit SmallSource(Bytes capacity) : left_(capacity) {}
  void* reserve(Bytes bytes) override {
    if (bytes > left_) {
      return nullptr;
    }
    left_ -= bytes;
    return memory_.reserve(bytes);
  }
  void release(void* /*memory*/, Bytes bytes) noexcept override { left_ += bytes; }

 private:
  meta::PlannedMemory memory_;
  Bytes left_;
};

TEST(AllocatorPressure, ASourceThatRefusesIsAskedAgainForLess) {
  Allocator memory("test", std::make_unique<SmallSource>(20_MiB + 256));
  memory.allocate(1_MiB, Tag::parameters);
  EXPECT_EQ(memory.stats().reserved, kSegment);
  memory.allocate(kSegment - 1_MiB, Tag::parameters);
  // No room for another segment that others could share: each block gets one of its own size.
  memory.allocate(3_MiB, Tag::parameters);
  EXPECT_EQ(memory.stats().reserved, kSegment + 3_MiB);
  memory.allocate(1_MiB, Tag::parameters);
  memory.allocate(100, Tag::parameters);
  EXPECT_EQ(memory.stats().reserved, 20_MiB + 256);
  EXPECT_THROW(memory.allocate(1, Tag::parameters), OutOfMemory);
}

TEST(AllocatorPressure, CachedSegmentsAreGivenBackForALargerOne) {
  for (const std::optional<Bytes> limit : {std::optional<Bytes>(), std::optional<Bytes>(40_MiB)}) {
    Allocator memory("test", std::make_unique<SmallSource>(limit ? 1_GiB : 40_MiB), limit);
    Allocator::Block* kept = memory.allocate(1_MiB, Tag::parameters);
    memory.free(memory.allocate(20_MiB, Tag::activations));
    EXPECT_EQ(memory.stats().reserved, kSegment + 20_MiB);
    memory.allocate(24_MiB, Tag::activations);
    EXPECT_EQ(memory.stats().reserved, kSegment + 24_MiB);
    EXPECT_EQ(memory.stats().peak_reserved, kSegment + 24_MiB);
    EXPECT_EQ(Allocator::size(kept), 1_MiB);
  }
}

// Under a limit too: in steps where those fit, in exactly what is needed where they do not.
TEST(AllocatorPressure, ALimitLeavesTheStepsOfSegmentsAsTheyAre) {
  const auto reserved_by = [](std::optional<Bytes> limit, const std::vector<Bytes>& requests) {
    Allocator memory("test", std::make_unique<meta::PlannedMemory>(), limit);
    memory.allocate(1_MiB, Tag::parameters);
    for (const Bytes bytes : requests) {
      memory.free(memory.allocate(bytes, Tag::activations));
    }
    return memory.stats().reserved;
  };
  for (const std::optional<Bytes> limit : {std::optional<Bytes>(), std::optional<Bytes>(1_GiB)}) {
    EXPECT_EQ(reserved_by(limit, {21_MiB}), kSegment + 22_MiB);
    EXPECT_EQ(reserved_by(limit, {21_MiB, 22_MiB + 1}), kSegment + 22_MiB + 24_MiB);
  }
  EXPECT_EQ(reserved_by(38_MiB, {21_MiB}), kSegment + 22_MiB);
  EXPECT_EQ(reserved_by(38_MiB - 1, {21_MiB}), kSegment + 21_MiB);
  // What was cached makes room for a whole step, or for what is needed.
  EXPECT_EQ(reserved_by(40_MiB, {21_MiB, 22_MiB + 1}), kSegment + 24_MiB);
  EXPECT_EQ(reserved_by(39_MiB, {21_MiB, 22_MiB + 1}), kSegment + 22_MiB + 256);
}

}  // namespace
}  // namespace retape::nn
