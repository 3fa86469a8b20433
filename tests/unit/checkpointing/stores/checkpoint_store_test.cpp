#include "checkpointing/stores/checkpoint_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <tuple>

#include "nn/base/error.h"
#include "parallel/comm/thread/ranks.h"
#include "tests/unit/checkpointing/stores/store_rig.h"

namespace retape::checkpointing {
namespace {

using nn::DType;
using nn::Tensor;
using Saved = std::unique_ptr<nn::SavedValue>;

struct Switches {
  bool partition;
  bool contiguous;
  bool host;
  int ranks;
};

std::vector<Switches> all_switches() {
  std::vector<Switches> all;
  for (const int ranks : {1, 2, 4}) {
    for (int bits = 0; bits < 8; ++bits) {
      all.push_back({(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, ranks});
    }
  }
  return all;
}

std::string switches_name(const ::testing::TestParamInfo<Switches>& info) {
  const auto& [partition, contiguous, host, ranks] = info.param;
  return std::string(partition ? "partition_" : "") + (contiguous ? "contiguous_" : "") + (host ? "host_" : "") +
         "on_" + std::to_string(ranks);
}

StoreOptions options_of(const Switches& on) {
  return {.partition = on.partition, .contiguous = on.contiguous, .host = on.host, .slab_bytes = 256_KiB};
}

class CheckpointStoreBits : public ::testing::TestWithParam<Switches> {
 protected:
  // `body` runs on each rank, with a store of the case's switches.
  void on_each_rank(const std::function<void(StoreRig&)>& body) {
    parallel::run_ranks(GetParam().ranks, [&](parallel::Communicator& communicator) {
      const parallel::Group group(communicator.split(0));
      StoreRig rig(options_of(GetParam()), group);
      body(rig);
    });
  }
};

struct Item {
  Saved saved;
  Contents contents;
};

std::vector<Item> save_all_kinds(StoreRig& rig, std::uint64_t seed) {
  std::vector<Item> items;
  for (const DType dtype : {DType::f32, DType::bf16, DType::i32}) {
    for (const nn::Shape& shape :
         {nn::Shape{}, nn::Shape{0, 3}, nn::Shape{3}, nn::Shape{5}, nn::Shape{2, 3, 7}, nn::Shape{17, 129}}) {
      Tensor value = rig.make(shape, dtype, ++seed);
      Contents contents = contents_of(value);
      items.push_back({rig.save(std::move(value)), std::move(contents)});
    }
  }
  return items;
}

TEST_P(CheckpointStoreBits, ComeBackAsTheyWere) {
  on_each_rank([](StoreRig& rig) {
    std::vector<Item> items = save_all_kinds(rig, 1);
    for (const bool prefetch : {false, true}) {
      for (auto item = items.rbegin(); item != items.rend(); ++item) {
        if (prefetch) {
          item->saved->prefetch();
          item->saved->prefetch();
        }
        EXPECT_EQ(contents_of(item->saved->fetch()), item->contents);
        EXPECT_EQ(contents_of(item->saved->fetch()), item->contents);
      }
    }
  });
}

// As backward does: each value is asked for while the one after it is in use, and goes when it has been read.
TEST_P(CheckpointStoreBits, ComeBackWhenFetchedAhead) {
  on_each_rank([](StoreRig& rig) {
    for (std::uint64_t step = 0; step < 3; ++step) {
      std::vector<Item> items = save_all_kinds(rig, 100 * step);
      items.back().saved->prefetch();
      while (!items.empty()) {
        Item item = std::move(items.back());
        items.pop_back();
        if (!items.empty()) {
          items.back().saved->prefetch();
        }
        const Tensor value = item.saved->fetch();
        item.saved.reset();
        EXPECT_EQ(contents_of(value), item.contents);
      }
    }
    EXPECT_EQ(rig.store->stats().partitioned, 0);
    EXPECT_EQ(rig.store->stats().slab_live, 0);
  });
}

TEST_P(CheckpointStoreBits, OutliveTheirStore) {
  on_each_rank([](StoreRig& rig) {
    std::vector<Item> items = save_all_kinds(rig, 7);
    rig.store.reset();
    for (const Item& item : items) {
      item.saved->prefetch();
    }
    for (Item& item : items) {
      const Tensor value = item.saved->fetch();
      item.saved.reset();
      EXPECT_EQ(contents_of(value), item.contents);
    }
    items.clear();
    EXPECT_EQ(rig.memory().live, 0);
  });
}

TEST_P(CheckpointStoreBits, MayGoAtAnyMoment) {
  on_each_rank([](StoreRig& rig) {
    for (int round = 0; round < 20; ++round) {
      rig.save(rig.make({4096}, DType::f32, 1)).reset();
      Saved asked = rig.save(rig.make({4096}, DType::f32, 2));
      const Saved other = rig.save(rig.make({4096}, DType::bf16, 3));
      asked->prefetch();
      other->prefetch();
      asked.reset();
    }
    rig.store->synchronize();
    rig.store->reset();
    EXPECT_EQ(rig.memory().live, 0);
    EXPECT_EQ(rig.store->host_memory().live, 0);
    EXPECT_EQ(rig.store->host_memory().reserved, 0);
  });
}

INSTANTIATE_TEST_SUITE_P(AllSwitches, CheckpointStoreBits, ::testing::ValuesIn(all_switches()), switches_name);

// However often it is read.
TEST_P(CheckpointStoreBits, AreNotStoredAgainByWhoeverReadsThem) {
  on_each_rank([](StoreRig& rig) {
    const Saved saved = rig.save(rig.make({1000}));
    rig.store->synchronize();
    const StoreStats before = rig.store->stats();
    const Bytes live = rig.memory().live;
    const std::int64_t on_host = rig.store->host_memory().allocations;
    for (int read = 0; read < 3; ++read) {
      saved->prefetch();
      EXPECT_EQ(saved->fetch().elems(), 1000);
    }
    const StoreStats after = rig.store->stats();
    EXPECT_EQ(after.offloaded_bytes, before.offloaded_bytes);
    EXPECT_EQ(after.partitioned, before.partitioned);
    EXPECT_EQ(after.host_live, before.host_live);
    EXPECT_EQ(after.slab_live, before.slab_live);
    EXPECT_EQ(after.slab_top, before.slab_top);
    EXPECT_EQ(rig.store->host_memory().allocations, on_host);
    EXPECT_EQ(rig.memory().live, live);
  });
}

TEST(CheckpointStore, WithNothingOnKeepsInPlace) {
  StoreRig rig({});
  const Tensor value = rig.make({1000});
  const Saved saved = rig.save(value);
  EXPECT_EQ(saved->fetch().data(), value.data());
  EXPECT_EQ(saved->place(), "in place");
  EXPECT_EQ(rig.memory().allocations, 1);
  EXPECT_EQ(held(rig.memory(), nn::Tag::checkpoints), 4096);
}

TEST(CheckpointStore, DoesNotRebookWhatIsNoActivation) {
  StoreRig rig({});
  const Tensor weight(rig.device, {64}, DType::f32, nn::Tag::parameters);
  const Saved saved = rig.save(weight);
  EXPECT_EQ(held(rig.memory(), nn::Tag::parameters), 256);
}

TEST(CheckpointStore, OfOneRankPartitionsNothing) {
  StoreRig rig({.partition = true});
  const Tensor value = rig.make({1000});
  const Saved saved = rig.save(value, "x", nn::Placement::shard);
  EXPECT_EQ(saved->fetch().data(), value.data());
}

// The ranks save different values, of sizes of their own, beside one that is the same on both.
TEST(CheckpointStore, TakesAShardWholeWhereItPartitionsTheRest) {
  for (const bool contiguous : {false, true}) {
    for (const bool host : {false, true}) {
      parallel::run_ranks(2, [&](parallel::Communicator& communicator) {
        const StoreOptions options{.partition = true, .contiguous = contiguous, .host = host, .slab_bytes = 256_KiB};
        StoreRig rig(options, parallel::Group(communicator.split(0)));
        const Elems elems = 1000 + communicator.rank();
        const auto seed = std::uint64_t{5} + static_cast<std::uint64_t>(communicator.rank());
        const Saved shard = rig.save(rig.make({elems}, DType::f32, seed), "qkv", nn::Placement::shard);
        EXPECT_EQ(shard->place(), host ? "offloaded" : contiguous ? "contiguous" : "in place");
        EXPECT_EQ(rig.store->stats().partitioned, 0);
        EXPECT_EQ(rig.store->stats().offloaded_bytes, host ? 4 * elems : 0);
        const Saved whole = rig.save(rig.make({1000}));
        EXPECT_EQ(rig.store->stats().partitioned, 2000);
        shard->prefetch();
        EXPECT_EQ(contents_of(whole->fetch()), random_contents(4000, 1));
        EXPECT_EQ(contents_of(shard->fetch()), random_contents(4 * elems, seed));
      });
    }
  }
}

TEST(CheckpointStore, AFetchedViewOutlivesItsValue) {
  StoreRig rig({.contiguous = true, .number_checkpoints = 2});
  Saved first = rig.save(rig.make({1000}, DType::f32, 1));
  const Tensor view = first->fetch();
  first.reset();
  const Saved second = rig.save(rig.make({1000}, DType::f32, 2));  // must not take the place of what is still read
  EXPECT_EQ(contents_of(view), random_contents(4000, 1));
  EXPECT_NE(second->fetch().data(), view.data());
  EXPECT_EQ(rig.store->stats().slab_live, 8192);
}

TEST(CheckpointStore, NamesWhatDoesNotFitTheSlab) {
  StoreRig rig({.contiguous = true, .number_checkpoints = 1});
  const Saved first = rig.save(rig.make({1 << 18}));
  try {
    rig.save(rig.make({1 << 18}));
    ADD_FAILURE() << "expected Error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "[checkpointing] number_checkpoints = 1: the contiguous buffer of 1 x 1.0 MiB is full; h.4: x of 1.0 "
                 "MiB does not fit; raise number_checkpoints, or leave it out to have it measured");
  }
  EXPECT_EQ(contents_of(first->fetch()), random_contents(1_MiB, 1));
}

TEST(CheckpointStore, BooksTransfersByRegion) {
  parallel::run_ranks(2, [](parallel::Communicator& communicator) {
    StoreRig rig({.partition = true, .host = true}, parallel::Group(communicator.split(0)));
    const Saved saved = rig.save(rig.make({1000}));
    EXPECT_EQ(saved->place(), "partitioned, offloaded");
    (void)saved->fetch();
    const TransferLog& log = rig.store->log();
    ASSERT_EQ(log.records().size(), 1U);
    EXPECT_EQ(log.records()[0].region, "h.4");
    EXPECT_EQ(log.records()[0].offloaded, 2000);
    EXPECT_GT(log.total().gather.count(), 0);
    EXPECT_GT(log.total().copy.count(), 0);
    EXPECT_EQ(rig.store->stats().offloaded_bytes, 2000);
    EXPECT_EQ(rig.store->stats().partitioned, 2000);
    rig.store->reset_stats();
    EXPECT_EQ(rig.store->stats().offloaded_bytes, 0);
  });
}

}  // namespace
}  // namespace retape::checkpointing
