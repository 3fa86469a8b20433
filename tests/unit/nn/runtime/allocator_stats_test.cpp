#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "nn/base/error.h"
#include "nn/runtime/allocator.h"
#include "nn/runtime/meta/planned_memory.h"

namespace retape::nn {
namespace {

using ::testing::HasSubstr;

Bytes of(const PerTag<Bytes>& bytes, Tag tag) {
  return bytes[static_cast<std::size_t>(tag)];
}

class AllocatorStats : public ::testing::Test {
 protected:
  const MemoryStats& stats() const { return memory_.stats(); }

  Allocator memory_{"test", std::make_unique<meta::PlannedMemory>()};
};

TEST_F(AllocatorStats, TagsHaveNames) {
  EXPECT_EQ(name(Tag::parameters), "parameters");
  EXPECT_EQ(name(Tag::recompute), "recompute");
  EXPECT_EQ(name(Tag::communication), "communication");
  EXPECT_EQ(static_cast<int>(Tag::communication), kTagCount - 1);
}

TEST_F(AllocatorStats, CountsLiveBytesByTag) {
  Allocator::Block* weight = memory_.allocate(1000, Tag::parameters);
  Allocator::Block* x = memory_.allocate(256, Tag::activations);
  EXPECT_EQ(Allocator::tag(weight), Tag::parameters);
  EXPECT_EQ(stats().live, 1024 + 256);
  EXPECT_EQ(of(stats().live_by_tag, Tag::parameters), 1024);
  EXPECT_EQ(of(stats().live_by_tag, Tag::activations), 256);
  EXPECT_EQ(stats().allocations, 2);
  memory_.free(weight);
  EXPECT_EQ(stats().live, 256);
  EXPECT_EQ(of(stats().live_by_tag, Tag::parameters), 0);
  memory_.free(x);
  EXPECT_EQ(stats().live, 0);
  EXPECT_EQ(stats().allocations, 2);
}

TEST_F(AllocatorStats, PeaksRememberTheHighestMoment) {
  Allocator::Block* weight = memory_.allocate(1_MiB, Tag::parameters);
  Allocator::Block* x = memory_.allocate(2_MiB, Tag::activations);
  memory_.free(x);
  Allocator::Block* gradient = memory_.allocate(4_MiB, Tag::gradients);  // the peak of all together
  memory_.free(gradient);
  x = memory_.allocate(3_MiB, Tag::activations);
  EXPECT_EQ(stats().peak, 5_MiB);
  EXPECT_EQ(of(stats().peak_by_tag, Tag::parameters), 1_MiB);
  EXPECT_EQ(of(stats().peak_by_tag, Tag::activations), 3_MiB);
  EXPECT_EQ(of(stats().peak_by_tag, Tag::gradients), 4_MiB);
  EXPECT_EQ(of(stats().at_peak_by_tag, Tag::parameters), 1_MiB);
  EXPECT_EQ(of(stats().at_peak_by_tag, Tag::activations), 0);
  EXPECT_EQ(of(stats().at_peak_by_tag, Tag::gradients), 4_MiB);
  memory_.free(x);
  memory_.free(weight);
}

TEST_F(AllocatorStats, TheActivationPeakIsThatOfActivationsCheckpointsAndRecomputeTogether) {
  Allocator::Block* x = memory_.allocate(1_MiB, Tag::activations);
  Allocator::Block* saved = memory_.allocate(2_MiB, Tag::checkpoints);
  Allocator::Block* again = memory_.allocate(4_MiB, Tag::recompute);
  memory_.free(again);
  memory_.free(x);
  memory_.allocate(3_MiB, Tag::activations);
  memory_.allocate(30_MiB, Tag::workspace);
  EXPECT_EQ(stats().activation_peak, 7_MiB);
  EXPECT_EQ(stats().peak, 35_MiB);
  memory_.retag(saved, Tag::parameters);
  EXPECT_EQ(stats().activation_peak, 7_MiB);
}

TEST_F(AllocatorStats, RetagMovesBytesAndNothingElse) {
  Allocator::Block* block = memory_.allocate(1_MiB, Tag::workspace);
  EXPECT_EQ(stats().activation_peak, 0);
  memory_.retag(block, Tag::checkpoints);
  EXPECT_EQ(Allocator::tag(block), Tag::checkpoints);
  EXPECT_EQ(of(stats().live_by_tag, Tag::workspace), 0);
  EXPECT_EQ(of(stats().live_by_tag, Tag::checkpoints), 1_MiB);
  EXPECT_EQ(of(stats().peak_by_tag, Tag::checkpoints), 1_MiB);
  EXPECT_EQ(of(stats().at_peak_by_tag, Tag::workspace), 1_MiB);
  EXPECT_EQ(stats().activation_peak, 1_MiB);
  EXPECT_EQ(stats().live, 1_MiB);
  EXPECT_EQ(stats().peak, 1_MiB);
  EXPECT_EQ(stats().allocations, 1);
  memory_.free(block);
  EXPECT_EQ(of(stats().live_by_tag, Tag::checkpoints), 0);
}

TEST_F(AllocatorStats, PeaksStartAgainFromWhatIsLive) {
  Allocator::Block* kept = memory_.allocate(1_MiB, Tag::checkpoints);
  memory_.free(memory_.allocate(20_MiB, Tag::activations));
  memory_.release_cached();
  EXPECT_EQ(stats().peak_reserved, 36_MiB);
  memory_.reset_peaks();
  EXPECT_EQ(stats().peak, 1_MiB);
  EXPECT_EQ(stats().activation_peak, 1_MiB);
  EXPECT_EQ(stats().peak_reserved, 16_MiB);
  EXPECT_EQ(of(stats().peak_by_tag, Tag::activations), 0);
  EXPECT_EQ(of(stats().at_peak_by_tag, Tag::checkpoints), 1_MiB);
  memory_.free(kept);
  EXPECT_EQ(stats().peak, 1_MiB);
}

// Keeps its own books from what it is told.
class Bookkeeper final : public AllocatorObserver {
 public:
  explicit Bookkeeper(const Allocator& memory) : memory_(&memory) {}

  void on_allocate(Tag tag, Bytes bytes) override { book({tag, bytes}); }
  void on_free(Tag tag, Bytes bytes) override { book({tag, -bytes}); }
  void on_retag(Tag from, Tag to, Bytes bytes) override {
    live_[static_cast<std::size_t>(from)] -= bytes;
    book({to, bytes});
  }

  int events() const { return events_; }

 private:
  struct Change {
    Tag tag;
    Bytes bytes;
  };
  void book(Change change) {
    ++events_;
    live_[static_cast<std::size_t>(change.tag)] += change.bytes;
    EXPECT_EQ(live_, memory_->stats().live_by_tag) << "after event " << events_;
  }
  const Allocator* memory_;
  PerTag<Bytes> live_{};
  int events_ = 0;
};

TEST_F(AllocatorStats, AnObserverSeesEveryChangeAfterItWasCounted) {
  Bookkeeper books(memory_);
  memory_.observe(&books);
  Allocator::Block* a = memory_.allocate(1000, Tag::activations);
  Allocator::Block* b = memory_.allocate(1_MiB, Tag::gradients);
  memory_.retag(a, Tag::checkpoints);
  memory_.retag(a, Tag::checkpoints);  // changes nothing
  memory_.free(a);
  EXPECT_EQ(books.events(), 4);
  memory_.observe(nullptr);
  memory_.free(b);
  EXPECT_EQ(books.events(), 4);
}

std::string out_of_memory_message(Allocator& memory, Bytes bytes, Tag tag) {
  try {
    memory.allocate(bytes, tag);
  } catch (const OutOfMemory& error) {
    return error.what();
  }
  ADD_FAILURE() << "expected OutOfMemory for " << bytes << " bytes";
  return {};
}

TEST(AllocatorLimit, SaysWhatIsNeededAndWhoHoldsWhat) {
  Allocator memory("cpu", std::make_unique<meta::PlannedMemory>(), 20_MiB);
  EXPECT_EQ(memory.limit(), 20_MiB);
  memory.allocate(512_KiB, Tag::optimizer);
  memory.allocate(12_MiB, Tag::parameters);
  const MemoryStats before = memory.stats();
  const std::string message = out_of_memory_message(memory, 10_MiB, Tag::recompute);
  EXPECT_THAT(message, HasSubstr("[cpu] out of memory: 10.0 MiB more needed for recompute"));
  EXPECT_THAT(message, HasSubstr("12.5 MiB live"));
  EXPECT_THAT(message, HasSubstr("of a limit of 20.0 MiB"));
  EXPECT_THAT(message, ::testing::EndsWith("; held by parameters 12.0 MiB, optimizer 512.0 KiB"));
  EXPECT_EQ(memory.stats(), before);
}

TEST(AllocatorLimit, WhereNobodyHoldsAnythingItSaysSo) {
  Allocator memory("cpu", std::make_unique<meta::PlannedMemory>(), 1_MiB);
  EXPECT_THAT(out_of_memory_message(memory, 2_MiB, Tag::parameters), HasSubstr("held by nobody"));
}

TEST(AllocatorLimit, TheAllocatorIsUsableAfterwards) {
  Allocator memory("cpu", std::make_unique<meta::PlannedMemory>(), 20_MiB);
  Allocator::Block* held = memory.allocate(12_MiB, Tag::parameters);
  out_of_memory_message(memory, 10_MiB, Tag::activations);
  Allocator::Block* fits = memory.allocate(8_MiB, Tag::activations);
  EXPECT_EQ(memory.stats().reserved, 20_MiB);
  out_of_memory_message(memory, 1, Tag::activations);
  memory.free(held);
  memory.free(fits);
  EXPECT_EQ(memory.stats().live, 0);
  memory.allocate(20_MiB, Tag::activations);  // all of it
  EXPECT_EQ(memory.stats().reserved, 20_MiB);
  EXPECT_EQ(memory.stats().peak_reserved, 20_MiB);
}

TEST(AllocatorLimit, ARequestOfAbsurdSizeIsRefusedToo) {
  Allocator memory("cpu", std::make_unique<meta::PlannedMemory>(), 20_MiB);
  memory.allocate(1, Tag::activations);
  out_of_memory_message(memory, Bytes{1} << 62, Tag::activations);
}

}  // namespace
}  // namespace retape::nn
