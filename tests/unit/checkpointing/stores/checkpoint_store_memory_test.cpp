// What the store holds, where, and when: to the byte, and the same on meta.
#include <gtest/gtest.h>

#include <deque>
#include <set>

#include "checkpointing/stores/checkpoint_store.h"
#include "parallel/comm/thread/ranks.h"
#include "tests/unit/checkpointing/stores/store_rig.h"

namespace retape::checkpointing {
namespace {

using nn::DType;
using nn::Tag;
using nn::Tensor;
using Saved = std::unique_ptr<nn::SavedValue>;

// Two ranks, of which this one alone is there.
parallel::Group half() {
  return parallel::Group(parallel::open_planned(1, 2));
}

TEST(CheckpointStoreMemory, APartTakesItsShareRoundedUp) {
  StoreRig rig({.partition = true}, half(), nn::DeviceKind::meta);
  const Saved saved = rig.save(rig.make({1001}));  // 501 elements of 4 bytes
  EXPECT_EQ(rig.memory().live, 2048);
  EXPECT_EQ(held(rig.memory(), Tag::checkpoints), 2048);
  EXPECT_EQ(rig.store->stats().partitioned, 4004 - 2004);
  const Tensor whole = saved->fetch();
  EXPECT_EQ(held(rig.memory(), Tag::recompute), 4096);
  EXPECT_EQ(rig.memory().live, 2048 + 4096);
  EXPECT_EQ(whole.storage()->bytes(), 4096);
}

TEST(CheckpointStoreMemory, OnTheHostNothingStaysOnTheDeviceAfterTheNextCall) {
  StoreRig rig({.host = true});
  const Saved first = rig.save(rig.make({1000}));
  EXPECT_EQ(rig.memory().live, 4096);  // the source of the copy
  EXPECT_EQ(rig.store->stats().host_live, 4096);
  const Saved second = rig.save(rig.make({64}));
  EXPECT_EQ(rig.memory().live, 256);
  rig.store->synchronize();
  EXPECT_EQ(rig.memory().live, 0);
  EXPECT_EQ(rig.store->stats().host_live, 4096 + 256);
  first->prefetch();
  EXPECT_EQ(held(rig.memory(), Tag::recompute), 4096);
  (void)first->fetch();
  EXPECT_EQ(rig.memory().live, 0);
  EXPECT_EQ(rig.store->stats().host_peak, 4096 + 256);
}

TEST(CheckpointStoreMemory, SettlingLetsTheSourceGo) {
  for (const nn::DeviceKind kind : {nn::DeviceKind::cpu, nn::DeviceKind::meta}) {
    StoreRig rig({.host = true}, parallel::Group::self(), kind);
    const Saved saved = rig.save(rig.make({1000}));
    EXPECT_EQ(rig.memory().live, 4096);
    rig.store->settle();
    EXPECT_EQ(rig.memory().live, 0);
    EXPECT_EQ(rig.store->stats().host_live, 4096);
    rig.store->settle();
    EXPECT_EQ(saved->fetch().elems(), 1000);
  }
}

TEST(CheckpointStoreMemory, APartOnTheHostLeavesTheWholeAtOnce) {
  StoreRig rig({.partition = true, .host = true}, half(), nn::DeviceKind::meta);
  const Saved saved = rig.save(rig.make({1001}));
  EXPECT_EQ(rig.memory().live, 2048);
  EXPECT_EQ(held(rig.memory(), Tag::checkpoints), 2048);
  rig.store->synchronize();
  EXPECT_EQ(rig.memory().live, 0);
  EXPECT_EQ(rig.store->stats().host_live, 2048);
  saved->prefetch();
  EXPECT_EQ(rig.memory().live, 4096);  // the host's part comes into its place in the whole
}

TEST(CheckpointStoreMemory, TheSourceGoesWithItsValue) {
  StoreRig rig({.host = true});
  Saved saved = rig.save(rig.make({1000}));
  saved.reset();
  EXPECT_EQ(rig.memory().live, 0);
  EXPECT_EQ(rig.store->stats().host_live, 0);
}

TEST(CheckpointStoreMemory, TheSlabLiesOnTheHostWhereThatIsOn) {
  StoreRig rig({.contiguous = true, .host = true, .number_checkpoints = 3});
  const Saved saved = rig.save(rig.make({1000}));
  rig.store->synchronize();
  EXPECT_EQ(rig.memory().live, 0);
  EXPECT_EQ(rig.store->stats().host_live, 3 * 4096);
  EXPECT_EQ(rig.store->stats().slab_bytes, 3 * 4096);
  EXPECT_EQ(rig.store->stats().slab_live, 4096);
}

TEST(CheckpointStoreMemory, ResetLetsAllGoWithTheLastValue) {
  for (const bool host : {false, true}) {
    StoreRig rig({.contiguous = true, .host = host, .number_checkpoints = 3});
    Saved saved = rig.save(rig.make({1000}));
    rig.store->reset();
    EXPECT_EQ(contents_of(saved->fetch()), random_contents(4000, 1));
    EXPECT_EQ(rig.store->stats().slab_bytes, 3 * 4096);
    saved.reset();
    EXPECT_EQ(rig.store->stats().slab_bytes, 0);
    EXPECT_EQ(rig.memory().live, 0);
    EXPECT_EQ(rig.store->host_memory().reserved, 0);
    EXPECT_NE(rig.save(rig.make({10})), nullptr);
  }
}

// One training step with several forwards in flight, of values of many kinds.
void run_step(StoreRig& rig) {
  std::deque<std::vector<Saved>> in_flight;
  for (int forward = 0; forward < 3; ++forward) {
    std::vector<Saved>& saved = in_flight.emplace_back();
    for (const nn::Shape& shape : {nn::Shape{40, 33}, nn::Shape{7}, nn::Shape{3, 1000}, nn::Shape{1}}) {
      for (const DType dtype : {DType::f32, DType::bf16, DType::i32}) {
        saved.push_back(rig.save(rig.make(shape, dtype)));
      }
    }
    if (in_flight.size() == 2) {
      std::vector<Saved> oldest = std::move(in_flight.front());
      in_flight.pop_front();
      for (; !oldest.empty(); oldest.pop_back()) {
        if (oldest.size() > 1) {
          oldest[oldest.size() - 2]->prefetch();
        }
        const Tensor value = oldest.back()->fetch();
        const Tensor gradient(rig.device, value.shape(), DType::f32, Tag::gradients);
        (void)oldest.back()->fetch();
      }
    }
  }
}

struct Accounts {
  nn::MemoryStats device;
  nn::MemoryStats host;
  Bytes slab_top = 0;
  Bytes partitioned = 0;
  Bytes offloaded = 0;
  friend bool operator==(const Accounts&, const Accounts&) = default;
};

Accounts accounts_of(const StoreOptions& options, const parallel::Group& group, nn::DeviceKind kind) {
  StoreRig rig(options, group, kind);
  for (int step = 0; step < 3; ++step) {
    run_step(rig);
  }
  const Saved last = rig.save(rig.make({1000}));
  const StoreStats stats = rig.store->stats();
  return {rig.memory(), rig.store->host_memory(), stats.slab_top, stats.partitioned, stats.offloaded_bytes};
}

TEST(CheckpointStoreMemory, MetaPredictsItToTheByte) {
  for (const int ranks : {1, 2, 4}) {
    for (int bits = 0; bits < 16; ++bits) {
      StoreOptions options{.partition = (bits & 1) != 0, .contiguous = (bits & 2) != 0, .host = (bits & 4) != 0};
      options.slab_bytes = (bits & 8) != 0 ? 512_KiB : 0;  // else it is measured
      if (options.host && ranks == 4) {
        options.host_limit = 40_KiB;  // some of it stays on the device
      }
      parallel::run_ranks(ranks, [&](parallel::Communicator& communicator) {
        const Accounts measured = accounts_of(options, parallel::Group(communicator.split(0)), nn::DeviceKind::cpu);
        const Accounts planned = accounts_of(
            options, parallel::Group(parallel::open_planned(communicator.rank(), ranks)), nn::DeviceKind::meta);
        EXPECT_TRUE(measured == planned) << "switches " << bits << " on " << ranks;
      });
    }
  }
}

TEST(CheckpointStoreMemory, AMeasuredSlabFits) {
  StoreRig measuring({.contiguous = true}, parallel::Group::self(), nn::DeviceKind::meta);
  run_step(measuring);
  const StoreStats measured = measuring.store->stats();
  EXPECT_EQ(measured.slab_bytes, 0);
  EXPECT_GE(measured.slab_top, measured.slab_most_live);
  StoreRig rig({.contiguous = true, .slab_bytes = measured.slab_top});
  run_step(rig);
  run_step(rig);
  EXPECT_EQ(rig.store->stats().slab_bytes, measured.slab_top);
  EXPECT_EQ(rig.store->stats().slab_top, measured.slab_top);
  EXPECT_EQ(rig.store->stats().slab_most_live, measured.slab_most_live);
}

TEST(CheckpointStoreMemory, TheSlabStaysWhereItIsStepAfterStep) {
  StoreRig rig({.contiguous = true, .slab_bytes = 256_KiB});
  const auto forward = [&] {
    std::vector<Saved> saved;
    for (const nn::Shape& shape : {nn::Shape{40, 33}, nn::Shape{7}, nn::Shape{3, 1000}, nn::Shape{129}}) {
      saved.push_back(rig.save(rig.make(shape)));
    }
    return saved;
  };
  const auto addresses = [](const std::vector<Saved>& saved) {
    std::vector<const void*> found;
    found.reserve(saved.size());
    for (const Saved& value : saved) {
      found.push_back(value->fetch().data());
    }
    return found;
  };
  std::set<std::vector<const void*>> seen;  // two sets of places, taken in turn
  std::vector<Saved> earlier = forward();
  const Bytes reserved = rig.memory().reserved;
  for (int step = 0; step < 100; ++step) {
    std::vector<Saved> later = forward();
    seen.insert(addresses(earlier));
    for (; !earlier.empty(); earlier.pop_back()) {
      EXPECT_EQ(earlier.back()->place(), "contiguous");
    }
    earlier = std::move(later);
    EXPECT_EQ(rig.memory().reserved, reserved);
  }
  EXPECT_EQ(seen.size(), 2U);
  EXPECT_EQ(rig.store->stats().slab_top, rig.store->stats().slab_most_live);
}

TEST(CheckpointStoreMemory, TheHostsMemoryServesAgain) {
  StoreRig rig({.host = true});
  run_step(rig);
  const Bytes reserved = rig.store->host_memory().reserved;
  for (int step = 0; step < 20; ++step) {
    run_step(rig);
  }
  EXPECT_EQ(rig.store->host_memory().reserved, reserved);
}

TEST(CheckpointStoreMemory, WhatTheHostHasNoRoomForStaysOnTheDevice) {
  StoreRig rig({.host = true, .host_limit = 5000});
  const Saved first = rig.save(rig.make({1000}, DType::f32, 1), "x");
  const Saved second = rig.save(rig.make({1000}, DType::f32, 2), "ln1");
  const Saved third = rig.save(rig.make({1000}, DType::f32, 3), "qkv");
  EXPECT_EQ(rig.warnings, std::vector<std::string>{
                              "[checkpointing] host memory is exhausted: h.4: ln1 of 3.9 KiB does not fit beside the "
                              "4.0 KiB in use within the limit of 4.9 KiB; h.4: ln1 stays on the device, as will "
                              "others"});
  EXPECT_EQ(held(rig.memory(), Tag::checkpoints), 2 * 4096);
  EXPECT_EQ(first->place(), "offloaded");
  EXPECT_EQ(second->place(), "in place");
  EXPECT_EQ(contents_of(first->fetch()), random_contents(4000, 1));
  EXPECT_EQ(contents_of(second->fetch()), random_contents(4000, 2));
  EXPECT_EQ(contents_of(third->fetch()), random_contents(4000, 3));
}

TEST(CheckpointStoreMemory, AHostTooSmallForTheSlabWarnsOnceOfTheSlab) {
  StoreRig rig({.contiguous = true, .host = true, .number_checkpoints = 2, .host_limit = 5000});
  const Saved first = rig.save(rig.make({1000}, DType::f32, 1));
  const Saved second = rig.save(rig.make({1000}, DType::f32, 2));
  EXPECT_EQ(rig.warnings, std::vector<std::string>{
                              "[checkpointing] host memory is exhausted: the contiguous buffer of 8.0 KiB does not fit "
                              "beside the 0 B in use within the limit of 4.9 KiB; h.4: x stays on the device, as will "
                              "others"});
  EXPECT_EQ(contents_of(first->fetch()), random_contents(4000, 1));
  EXPECT_EQ(contents_of(second->fetch()), random_contents(4000, 2));
}

}  // namespace
}  // namespace retape::checkpointing
