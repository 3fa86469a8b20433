// What the computation does while the worker has not come to a transfer: it goes on, and leaves alone what the transfer
// will read and write. The worker is held in a gather that comes before.
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "checkpointing/stores/checkpoint_store.h"
#include "tests/unit/checkpointing/stores/store_rig.h"

namespace retape::checkpointing {
namespace {

using nn::DType;
using nn::Tensor;
using Saved = std::unique_ptr<nn::SavedValue>;

class Gate {
 public:
  void shut() {
    const std::lock_guard lock(mutex_);
    shut_ = true;
  }
  void open() {
    const std::lock_guard lock(mutex_);
    shut_ = false;
    changed_.notify_all();
  }
  bool is_shut() {
    const std::lock_guard lock(mutex_);
    return shut_;
  }
  // Waits while it is shut. Opens it when nobody does, so that a test whose computation waits fails and does not hang.
  void pass() {
    constexpr std::chrono::seconds kPatience{10};
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [this] { return !shut_; });
    shut_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool shut_ = false;
};

// Of the only one of two ranks that is there: the other one seems to have what this one has. Gathers pass the gate.
class GatedCommunicator final : public parallel::Communicator {
 public:
  explicit GatedCommunicator(std::shared_ptr<Gate> gate) : gate_(std::move(gate)) {}
  int rank() const override { return 0; }
  int size() const override { return 2; }
  void barrier() override {}
  void all_gather(const void* send, void* receive, Bytes bytes) override {
    gate_->pass();
    for (int peer = 0; peer < 2; ++peer) {
      std::memmove(static_cast<std::byte*>(receive) + peer * bytes, send, static_cast<std::size_t>(bytes));
    }
  }
  void broadcast(void* /*data*/, Bytes /*bytes*/, int /*root*/) override {}
  void all_reduce_sum(float* /*values*/, Elems /*elems*/) override {}
  void reduce_scatter_sum(const float* /*send*/, float* /*receive*/, Elems /*elems*/) override {}
  std::unique_ptr<parallel::Communicator> split(int /*color*/) override {
    return std::make_unique<GatedCommunicator>(gate_);
  }
  void abort(std::string_view /*reason*/) noexcept override {}

 private:
  std::shared_ptr<Gate> gate_;
};

// A store, and a value whose gather holds the worker.
class HeldRig {
 public:
  explicit HeldRig(bool contiguous)
      : rig({.partition = true, .contiguous = contiguous, .host = true, .slab_bytes = 64_KiB},
            parallel::Group(std::make_unique<GatedCommunicator>(gate))),
        first_(rig.save(rig.make({1000}))) {
    rig.store->synchronize();
  }
  ~HeldRig() { gate->open(); }
  HeldRig(const HeldRig&) = delete;
  HeldRig& operator=(const HeldRig&) = delete;

  // The worker stops in the gather, and does nothing that is submitted after it. Takes kHeldBytes.
  void hold() {
    gate->shut();
    first_->prefetch();
  }
  static constexpr Bytes kHeldBytes = 4096;

  const std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  StoreRig rig;

 private:
  Saved first_;
};

// Fault 11: copies block.
TEST(HeldWorker, F11_SavingAndPrefetchingReturnBeforeTheyAreDone) {
  for (const bool contiguous : {false, true}) {
    for (const DType dtype : {DType::f32, DType::i32}) {  // split, and whole
      HeldRig held(contiguous);
      const Saved ahead = held.rig.save(held.rig.make({1000}, dtype, 2));
      held.rig.store->synchronize();
      held.hold();
      ahead->prefetch();
      EXPECT_TRUE(held.gate->is_shut());
      EXPECT_EQ(held.rig.memory().live, HeldRig::kHeldBytes + 4096);
      const Saved saved = held.rig.save(held.rig.make({1000}, dtype, 3));
      EXPECT_TRUE(held.gate->is_shut());
      EXPECT_EQ(saved->place(), dtype == DType::f32 ? "partitioned, offloaded" : "offloaded");
      held.gate->open();
    }
  }
}

// Fault 15: a buffer is used again before its copy has ended. Here the copy begins when everything free has been used
// again.
TEST(HeldWorker, F15_TheSourceOfACopyIsLeftAloneUntilItIsCopied) {
  for (const bool contiguous : {false, true}) {
    for (const DType dtype : {DType::f32, DType::i32}) {
      HeldRig held(contiguous);
      held.hold();
      const Saved saved = held.rig.save(held.rig.make({1000}, dtype, 2));
      EXPECT_TRUE(held.gate->is_shut());
      const bool split = dtype == DType::f32;
      // The program has let the value go; of what is split the part is the source.
      EXPECT_EQ(held.rig.memory().live, HeldRig::kHeldBytes + (split ? 2048 : 4096));
      {
        std::vector<Tensor> others;
        for (std::uint64_t seed = 10; seed < 30; ++seed) {
          others.push_back(held.rig.make({seed % 2 == 0 ? 1000 : 500}, DType::f32, seed));
        }
      }
      EXPECT_TRUE(held.gate->is_shut());
      held.gate->open();
      Contents found = contents_of(saved->fetch());
      found.resize(split ? 2000 : 4000);  // the other rank has nothing of its own
      EXPECT_EQ(found, random_contents(static_cast<Bytes>(found.size()), 2));
    }
  }
}

TEST(HeldWorker, F15_AValueThatGoesWaitsForItsTransfers) {
  for (const bool contiguous : {false, true}) {
    for (const bool fetched : {false, true}) {
      HeldRig held(contiguous);
      Saved saved = held.rig.save(held.rig.make({1000}, DType::f32, 2));
      held.rig.store->synchronize();
      held.hold();
      if (fetched) {
        saved->prefetch();
      } else {
        saved = held.rig.save(held.rig.make({1000}, DType::f32, 3));
      }
      const std::jthread opener([&held] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        held.gate->open();
      });
      saved.reset();
      EXPECT_FALSE(held.gate->is_shut());
      EXPECT_EQ(held.rig.memory().live, HeldRig::kHeldBytes);
    }
  }
}

}  // namespace
}  // namespace retape::checkpointing
