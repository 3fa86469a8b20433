// Failures of transfers, of other ranks, and of the program around a store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>

#include "checkpointing/stores/checkpoint_store.h"
#include "nn/base/error.h"
#include "tests/support/ranks.h"
#include "tests/unit/checkpointing/stores/store_rig.h"

namespace retape::checkpointing {
namespace {

using nn::DType;
using nn::Tensor;
using ::testing::Each;
using ::testing::HasSubstr;
using Saved = std::unique_ptr<nn::SavedValue>;

// A group whose gathers fail.
class BrokenCommunicator final : public parallel::Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 2; }
  void barrier() override { fail(); }
  void all_gather(const void* /*send*/, void* /*receive*/, Bytes /*bytes*/) override { fail(); }
  void broadcast(void* /*data*/, Bytes /*bytes*/, int /*root*/) override { fail(); }
  void all_reduce_sum(float* /*values*/, Elems /*elems*/) override { fail(); }
  void reduce_scatter_sum(const float* /*send*/, float* /*receive*/, Elems /*elems*/) override { fail(); }
  std::unique_ptr<parallel::Communicator> split(int /*color*/) override {
    return std::make_unique<BrokenCommunicator>();
  }
  void abort(std::string_view /*reason*/) noexcept override {}

 private:
  [[noreturn]] static void fail() { throw CommError("[comm] the wire is cut"); }
};

TEST(CheckpointStoreFailure, OfATransferIsThrownByFetch) {
  for (const bool host : {false, true}) {
    StoreRig rig({.partition = true, .host = host}, parallel::Group(std::make_unique<BrokenCommunicator>()));
    const Saved first = rig.save(rig.make({1000}));
    const Saved second = rig.save(rig.make({1000}));
    first->prefetch();
    for (const Saved* value : {&first, &first, &second}) {
      try {
        (void)(*value)->fetch();
        ADD_FAILURE() << "expected CommError";
      } catch (const CommError& error) {
        EXPECT_STREQ(error.what(), "[comm] the wire is cut");
      }
    }
    EXPECT_EQ(held(rig.memory(), nn::Tag::recompute), 0);
    EXPECT_THROW(rig.store->synchronize(), CommError);
  }
}

TEST(CheckpointStoreFailure, UnwindingWaitsForItsTransfers) {
  StoreRig rig({.contiguous = true, .host = true, .slab_bytes = 1_MiB});
  for (int round = 0; round < 20; ++round) {
    try {
      const Saved first = rig.save(rig.make({20000}));
      const Saved second = rig.save(rig.make({20000}));
      first->prefetch();
      throw std::runtime_error("the model");
    } catch (const std::runtime_error&) {
      EXPECT_EQ(rig.memory().live, 0);
      EXPECT_EQ(rig.store->stats().slab_live, 0);
    }
  }
  const Saved saved = rig.save(rig.make({20000}));
  EXPECT_EQ(contents_of(saved->fetch()), random_contents(80000, 1));
}

TEST(CheckpointStoreFailure, ADeviceWithoutRoomToFetchLosesNothing) {
  nn::Device device({.threads = 1, .memory_limit = 10000});
  CheckpointStore store(device, parallel::Group::self(), {.host = true}, nullptr);
  Saved saved;
  {
    const Tensor value(device, {1000}, DType::f32, nn::Tag::activations);
    saved = store.save(value, {.name = "x"});
  }
  {
    store.synchronize();
    const Tensor other(device, {2000}, DType::f32, nn::Tag::activations);
    EXPECT_THROW(saved->prefetch(), OutOfMemory);
    EXPECT_THROW((void)saved->fetch(), OutOfMemory);
  }
  EXPECT_EQ(saved->fetch().elems(), 1000);
}

// The part that is to go to the host is cut on the device: without room there, the host is not the one that is full.
TEST(CheckpointStoreFailure, ADeviceWithoutRoomToCutIsNoFullHost) {
  nn::Device device({.kind = nn::DeviceKind::meta, .threads = 1, .memory_limit = 5000});
  std::vector<std::string> warnings;
  CheckpointStore store(device, parallel::Group(parallel::open_planned(0, 2)), {.partition = true, .host = true},
                        [&](const std::string& text) { warnings.push_back(text); });
  const Tensor value(device, {1000}, DType::f32, nn::Tag::activations);
  try {
    store.save(value, {.name = "x"});
    ADD_FAILURE() << "expected OutOfMemory";
  } catch (const OutOfMemory& error) {
    EXPECT_THAT(error.what(), ::testing::StartsWith("[meta] out of memory: 2.0 KiB more needed for checkpoints"));
  }
  EXPECT_THAT(warnings, ::testing::IsEmpty());
  EXPECT_EQ(store.stats().host_live, 0);
  EXPECT_EQ(store.stats().partitioned, 0);
}

// What becomes of three values that differ in their bits alone.
using Use = std::function<void(StoreRig&, std::vector<Saved>&)>;

void expect_all_disagree(const Use& of_rank_0, const Use& of_rank_1, const std::string& labels) {
  for (const bool host : {false, true}) {
    const parallel::testing::Failures failures =
        parallel::testing::failures_of(2, [&](parallel::Communicator& communicator) {
          StoreRig rig({.partition = true, .host = host}, parallel::Group(communicator.split(0)));
          std::vector<Saved> saved;
          for (std::uint64_t seed = 1; seed <= 3; ++seed) {
            saved.push_back(rig.save(rig.make({1000}, DType::f32, seed)));
          }
          (communicator.rank() == 0 ? of_rank_0 : of_rank_1)(rig, saved);
        });
    EXPECT_THAT(failures.ranks, Each("[comm] all_gather of shards: the ranks disagree: " + labels));
  }
}

TEST(CheckpointStoreFailure, RanksThatFetchDifferentValuesAllFail) {
  expect_all_disagree([](StoreRig& /*rig*/, std::vector<Saved>& saved) { (void)saved[1]->fetch(); },
                      [](StoreRig& /*rig*/, std::vector<Saved>& saved) { (void)saved[2]->fetch(); },
                      "rank 0 has \"h.4: x, number 2, f32 [500]\", rank 1 has \"h.4: x, number 3, f32 [500]\"");
}

TEST(CheckpointStoreFailure, ARankThatLeavesAValueOutFailsAllAtTheNext) {
  const auto fetch_all = [](StoreRig& /*rig*/, std::vector<Saved>& saved) {
    for (; !saved.empty(); saved.pop_back()) {
      (void)saved.back()->fetch();
    }
  };
  const auto leave_one_out = [&](StoreRig& rig, std::vector<Saved>& saved) {
    (void)saved[2]->fetch();
    saved.resize(1);
    fetch_all(rig, saved);
  };
  expect_all_disagree(leave_one_out, fetch_all,
                      "rank 0 has \"h.4: x, number 1, f32 [500]\", rank 1 has \"h.4: x, number 2, f32 [500]\"");
}

TEST(CheckpointStoreFailure, ARankThatStartsAgainFailsAll) {
  const auto start_again = [](StoreRig& rig, std::vector<Saved>& saved) {
    saved.clear();
    (void)rig.save(rig.make({1000}))->fetch();
  };
  const auto go_on = [](StoreRig& /*rig*/, std::vector<Saved>& saved) { (void)saved[0]->fetch(); };
  expect_all_disagree(start_again, go_on,
                      "rank 0 has \"h.4: x, number 4, f32 [500]\", rank 1 has \"h.4: x, number 1, f32 [500]\"");
}

// The other rank never comes to the gather, and waits for this one elsewhere: neither may wait for ever.
TEST(CheckpointStoreFailure, ARankThatFailsDuringAGatherEndsTheJob) {
  try {
    parallel::run_ranks(2, [](parallel::Communicator& communicator) {
      StoreRig rig({.partition = true}, parallel::Group(communicator.split(0)));
      const Saved saved = rig.save(rig.make({1000}));
      if (communicator.rank() == 0) {
        saved->prefetch();
        throw std::runtime_error("the model");
      }
      communicator.barrier();
    });
    ADD_FAILURE() << "expected an exception";
  } catch (const CommError& error) {
    EXPECT_THAT(error.what(), HasSubstr("it failed while a gather of saved values was under way"));
    EXPECT_THAT(error.what(), HasSubstr("rank 0"));
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "the model");
  }
}

}  // namespace
}  // namespace retape::checkpointing
