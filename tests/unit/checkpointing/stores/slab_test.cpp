#include "checkpointing/stores/slab.h"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "nn/base/error.h"

namespace retape::checkpointing {
namespace {

using nn::DType;
using nn::Tensor;

class SlabTest : public ::testing::Test {
 protected:
  std::shared_ptr<Slab> create(SlabSize size) { return Slab::create(device_, size); }
  const nn::MemoryStats& stats() { return device_.memory().stats(); }

  nn::Device device_{{.threads = 1}};
};

Tensor bytes_in(Slab& slab, Bytes bytes) {
  return slab.allocate({bytes / 4}, DType::f32, "x");
}

template <class Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no Error";
}

TEST_F(SlabTest, IsOneAllocationOfSoManyTimesItsFirstTensor) {
  const auto slab = create({.number_checkpoints = 3});
  EXPECT_EQ(stats().allocations, 0);
  const Tensor a = slab->allocate({5, 15}, DType::f32, "a");  // 300 bytes, 512 of the slab
  const Tensor b = slab->allocate({3, 7}, DType::bf16, "b");
  const Tensor c = slab->allocate({100}, DType::i32, "c");
  EXPECT_EQ(slab->capacity(), 3 * 512);
  EXPECT_EQ(stats().allocations, 1);
  EXPECT_EQ(stats().live_by_tag[static_cast<std::size_t>(nn::Tag::checkpoints)], 3 * 512);
  EXPECT_EQ(a.shape(), (nn::Shape{5, 15}));
  EXPECT_EQ(b.dtype(), DType::bf16);
  const auto* begin = static_cast<const std::byte*>(a.data());
  EXPECT_EQ(static_cast<const std::byte*>(b.data()) - begin, 512);
  EXPECT_EQ(static_cast<const std::byte*>(c.data()) - begin, 768);
  EXPECT_EQ(slab->live(), 512 + 256 + 512);
  EXPECT_TRUE(a.unique());
}

TEST_F(SlabTest, APlaceIsTakenUntilTheLastCopyOfItsTensorGoes) {
  const auto slab = create({.number_checkpoints = 2});
  std::optional<Tensor> a = bytes_in(*slab, 1024);
  std::optional<Tensor> copy = a->reshaped({2, 128});
  a.reset();
  EXPECT_EQ(slab->live(), 1024);
  copy.reset();
  EXPECT_EQ(slab->live(), 0);
  EXPECT_EQ(stats().live, 2048);
}

TEST_F(SlabTest, LivesAsLongAsATensorInIt) {
  auto slab = create({.number_checkpoints = 2});
  std::optional<Tensor> a = bytes_in(*slab, 1024);
  slab.reset();
  a->fill_zero();
  EXPECT_EQ(stats().live, 2048);
  a.reset();
  EXPECT_EQ(stats().live, 0);
}

TEST_F(SlabTest, ResetLetsTheMemoryGoWithTheLastTensorInIt) {
  const auto slab = create({.number_checkpoints = 2});
  std::optional<Tensor> a = bytes_in(*slab, 1024);
  slab->reset();
  EXPECT_EQ(stats().live, 2048);
  std::optional<Tensor> b = bytes_in(*slab, 512);  // still the same memory
  a.reset();
  EXPECT_EQ(stats().allocations, 1);
  b.reset();
  EXPECT_EQ(stats().live, 0);
  EXPECT_EQ(slab->capacity(), 0);
  const Tensor c = bytes_in(*slab, 4096);
  EXPECT_EQ(slab->capacity(), 8192);
  slab->reset();
}

TEST_F(SlabTest, SaysWhatItsFirstTensorTakesFromTheDevice) {
  const auto counted = create({.number_checkpoints = 3});
  EXPECT_EQ(counted->bytes_to_open(300), 3 * 512);
  std::optional<Tensor> a = bytes_in(*counted, 300);
  EXPECT_EQ(stats().live, 3 * 512);
  EXPECT_EQ(counted->bytes_to_open(300), 0);
  counted->reset();
  a.reset();
  EXPECT_EQ(counted->bytes_to_open(0), 3 * 256);
  EXPECT_EQ(create({.bytes = 1000})->bytes_to_open(300), 1024);
  EXPECT_EQ(create({})->bytes_to_open(300), 0);
}

TEST_F(SlabTest, OfAKnownSizeTakesWhatWasMeasured) {
  const auto measuring = create({});
  {
    const Tensor a = bytes_in(*measuring, 1024);
    const Tensor b = bytes_in(*measuring, 300);
    EXPECT_EQ(stats().allocations, 2);
    EXPECT_EQ(stats().live, 1024 + 512);
    EXPECT_EQ(measuring->live(), 1024 + 512);
  }
  EXPECT_EQ(stats().live, 0);
  measuring->reset();
  EXPECT_EQ(measuring->capacity(), 0);
  EXPECT_EQ(measuring->top(), 1024 + 512);
  const auto slab = create({.bytes = measuring->top()});
  const Tensor a = bytes_in(*slab, 1024);
  const Tensor b = bytes_in(*slab, 300);
  EXPECT_EQ(slab->capacity(), 1024 + 512);
  EXPECT_EQ(slab->top(), 1024 + 512);
}

TEST_F(SlabTest, NothingIsLostToGapsFirstInLastOut) {
  const auto slab = create({.bytes = 1_MiB});
  for (int step = 0; step < 5; ++step) {
    std::vector<Tensor> values;
    for (const Bytes bytes : {1024, 300, 5000, 4, 70000}) {
      values.push_back(bytes_in(*slab, bytes));
    }
    while (!values.empty()) {
      values.pop_back();
    }
  }
  EXPECT_EQ(slab->top(), slab->most_live());
  EXPECT_EQ(slab->live(), 0);
}

TEST_F(SlabTest, NothingIsLostToGapsFirstInFirstOut) {
  const auto slab = create({.bytes = 1_MiB});
  constexpr std::array<Bytes, 5> kSizes{1024, 300, 5000, 4, 70000};
  const auto step_values = [&] {
    std::vector<Tensor> values;
    values.reserve(kSizes.size());
    for (const Bytes bytes : kSizes) {
      values.push_back(bytes_in(*slab, bytes));
    }
    return values;
  };
  std::vector<Tensor> earlier = step_values();
  std::vector<Tensor> later = step_values();
  for (int step = 0; step < 5; ++step) {
    for (Tensor& value : earlier) {
      value = Tensor();
    }
    earlier = std::move(later);
    later = step_values();
  }
  EXPECT_EQ(slab->top(), slab->most_live());
}

TEST_F(SlabTest, SaysWhichSettingIsTooSmall) {
  const auto slab = create({.number_checkpoints = 4});
  std::vector<Tensor> values;
  values.reserve(4);
  for (int i = 0; i < 4; ++i) {
    values.push_back(bytes_in(*slab, 1_MiB));
  }
  EXPECT_EQ(error_of([&] { (void)slab->allocate({1 << 18}, DType::f32, "h.4: x"); }),
            "[checkpointing] number_checkpoints = 4: the contiguous buffer of 4 x 1.0 MiB is full; h.4: x of 1.0 MiB "
            "does not fit; raise number_checkpoints, or leave it out to have it measured");
  EXPECT_EQ(slab->live(), 4_MiB);
  const auto measured = create({.bytes = 1000});
  EXPECT_EQ(error_of([&] { (void)measured->allocate({512}, DType::f32, "h.4: x"); }),
            "[checkpointing] contiguous buffer: the 1.0 KiB that were measured are full; h.4: x of 2.0 KiB does not "
            "fit");
}

TEST_F(SlabTest, RefusesImpossibleSizes) {
  EXPECT_EQ(error_of([&] { create({.number_checkpoints = -1}); }),
            "[checkpointing] number_checkpoints: expected a number of at least 0, got -1");
  EXPECT_THROW(create({.bytes = -1}), ConfigError);
  const auto slab = create({.number_checkpoints = INT64_MAX});
  EXPECT_THROW(bytes_in(*slab, 1024), ConfigError);
}

TEST_F(SlabTest, TriesAgainWhereTheDeviceWasFull) {
  nn::Device device({.threads = 1, .memory_limit = 4_MiB});
  const auto slab = Slab::create(device, {.number_checkpoints = 3});
  std::optional<Tensor> other = Tensor(device, {1 << 19}, DType::f32, nn::Tag::activations);
  EXPECT_THROW(bytes_in(*slab, 1_MiB), OutOfMemory);
  EXPECT_EQ(slab->live(), 0);
  EXPECT_EQ(slab->top(), 0);
  other.reset();
  EXPECT_NO_THROW(bytes_in(*slab, 1_MiB));
}

}  // namespace
}  // namespace retape::checkpointing
