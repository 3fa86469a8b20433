// What is held between forward and backward, to the byte.
#include <gmock/gmock.h>

#include <functional>

#include "tests/integration/checkpointing/recorded_gpt.h"
#include "tests/support/ranks.h"

namespace retape::integration {
namespace {

namespace testing = ::testing;
using nn::Tag;
using testing::UnorderedElementsAre;

constexpr std::int64_t kLayers = 3;
// Odd, and so that parts of a checkpoint differ in size where they should.
constexpr GptSizes kOdd{.layers = kLayers, .batch = 3, .seq_len = 37, .dim = 30, .heads = 3, .vocab = 23};
// With statistics that fill whole blocks of the allocator.
constexpr GptSizes kEven{.layers = kLayers, .batch = 2, .seq_len = 64, .dim = 64, .heads = 4, .vocab = 23};

Bytes block_of(Bytes bytes) {
  return round_up(bytes, nn::Allocator::kAlignment);
}

// Tokens and targets, and the loss.
Bytes inputs_and_loss(const GptSizes& sizes) {
  return 2 * block_of(4 * sizes.rows()) + block_of(4);
}

// What backward needs after the last block: the input of the last norm and its statistics. The head has its gradients.
Bytes kept_by_the_end(const GptSizes& sizes, nn::DType dtype) {
  return block_of(sizes.elems() * nn::size_of(dtype)) + 2 * block_of(4 * sizes.rows());
}

// Sums allocations of checkpoints.
class CheckpointAllocations final : public nn::AllocatorObserver {
 public:
  explicit CheckpointAllocations(nn::Allocator& memory) : memory_(memory) { memory.observe(this); }
  ~CheckpointAllocations() override { memory_.observe(nullptr); }
  CheckpointAllocations(const CheckpointAllocations&) = delete;
  CheckpointAllocations& operator=(const CheckpointAllocations&) = delete;

  void on_allocate(Tag tag, Bytes bytes) override { note(tag, bytes); }
  void on_free(Tag /*tag*/, Bytes /*bytes*/) override {}
  void on_retag(Tag /*from*/, Tag to, Bytes bytes) override { note(to, bytes); }

  const std::vector<Bytes>& sizes() const { return sizes_; }

 private:
  void note(Tag tag, Bytes bytes) {
    if (tag == Tag::checkpoints) {
      sizes_.push_back(bytes);
    }
  }

  nn::Allocator& memory_;
  std::vector<Bytes> sizes_;
};

class KeptBytes : public testing::TestWithParam<nn::DType> {
 protected:
  static nn::DType dtype() { return GetParam(); }
  static Bytes checkpoint_bytes(const GptSizes& sizes) { return sizes.elems() * nn::size_of(dtype()); }
  static GptOptions options(const GptSizes& sizes, const checkpointing::Policy& policy,
                            const checkpointing::Overrides& settings = {}) {
    return {.sizes = sizes, .dtype = dtype(), .policy = policy, .settings = settings};
  }
};

TEST_P(KeptBytes, FullKeepsOneInputOfEachBlock) {
  RecordedGpt gpt(options(kOdd, checkpointing::full()));
  for (int step = 0; step < 2; ++step) {
    gpt.forward();
    EXPECT_EQ(gpt.live(Tag::checkpoints), kLayers * block_of(checkpoint_bytes(kOdd)));
    EXPECT_EQ(gpt.live(Tag::activations), inputs_and_loss(kOdd) + kept_by_the_end(kOdd, dtype()));
    EXPECT_EQ(gpt.live(Tag::recompute), 0);
    EXPECT_EQ(gpt.live(Tag::workspace), 0);
    gpt.backward();
    EXPECT_EQ(gpt.live(Tag::checkpoints), 0);
    EXPECT_EQ(gpt.live(Tag::activations), 0);
    EXPECT_EQ(gpt.live(Tag::recompute), 0);
  }
}

TEST_P(KeptBytes, GroupsKeepOneInputEach) {
  for (const checkpointing::Policy& policy :
       {checkpointing::uniform(2), checkpointing::nested(2), checkpointing::full(2)}) {
    RecordedGpt gpt(options(kOdd, policy));
    gpt.forward();
    EXPECT_EQ(gpt.live(Tag::checkpoints), ceil_div(kLayers, 2) * block_of(checkpoint_bytes(kOdd)));
    EXPECT_EQ(gpt.live(Tag::activations), inputs_and_loss(kOdd) + kept_by_the_end(kOdd, dtype()));
  }
}

TEST_P(KeptBytes, PartitionedIsThePartOfARank) {
  for (const int ranks : {2, 4}) {
    const Bytes part = block_of(ceil_div(kOdd.elems(), ranks) * nn::size_of(dtype()));
    ASSERT_LT(part, block_of(checkpoint_bytes(kOdd)) / ranks + nn::Allocator::kAlignment);
    const std::vector<std::pair<Bytes, Bytes>> live =
        parallel::testing::on_ranks(ranks, [&](parallel::Communicator& world) {
          GptOptions split = options(kOdd, checkpointing::full(), {.partition_activations = true});
          split.topology = parallel::make_topology(world, ranks);
          RecordedGpt gpt(split);
          gpt.forward();
          const std::pair live_bytes(gpt.live(Tag::checkpoints), gpt.live(Tag::activations));
          gpt.backward();
          return live_bytes;
        });
    EXPECT_THAT(live, testing::Each(std::pair(kLayers * part, inputs_and_loss(kOdd) + kept_by_the_end(kOdd, dtype()))))
        << ranks << " ranks";
  }
}

// Nor is the source of a copy, from the first value on that is read after the last block.
TEST_P(KeptBytes, OnTheHostAreNoneOnTheDevice) {
  for (const bool synchronize : {false, true}) {
    RecordedGpt gpt(options(kOdd, checkpointing::full(),
                            {.cpu_checkpointing = true, .synchronize_checkpoint_boundary = synchronize}));
    gpt.forward();
    EXPECT_EQ(gpt.live(Tag::checkpoints), 0);
    EXPECT_EQ(gpt.live(Tag::activations), inputs_and_loss(kOdd) + kept_by_the_end(kOdd, dtype()));
    EXPECT_EQ(gpt.checkpointer().store_stats().host_live, kLayers * block_of(checkpoint_bytes(kOdd)));
    EXPECT_EQ(gpt.checkpointer().take_offloaded_bytes(), kLayers * checkpoint_bytes(kOdd));
    EXPECT_EQ(gpt.checkpointer().take_offloaded_bytes(), 0);
    EXPECT_EQ(gpt.checkpointer().store_stats().host_peak, kLayers * block_of(checkpoint_bytes(kOdd)));
    gpt.backward();
    EXPECT_EQ(gpt.checkpointer().store_stats().host_live, 0);
    EXPECT_EQ(gpt.checkpointer().store_stats().host_peak, kLayers * block_of(checkpoint_bytes(kOdd)));
  }
}

TEST_P(KeptBytes, ContiguousIsOneAllocation) {
  const Bytes slab = kLayers * block_of(checkpoint_bytes(kOdd));
  for (const checkpointing::Overrides& size :
       {checkpointing::Overrides{.number_checkpoints = kLayers}, checkpointing::Overrides{.slab_bytes = slab}}) {
    checkpointing::Overrides settings = size;
    settings.contiguous_memory_optimization = true;
    RecordedGpt gpt(options(kOdd, checkpointing::full(), settings));
    const CheckpointAllocations allocations(gpt.memory());
    for (int step = 0; step < 2; ++step) {
      gpt.forward();
      EXPECT_EQ(gpt.live(Tag::checkpoints), slab);
      EXPECT_EQ(gpt.live(Tag::activations), inputs_and_loss(kOdd) + kept_by_the_end(kOdd, dtype()));
      EXPECT_EQ(gpt.checkpointer().store_stats().slab_live, slab);
      gpt.backward();
    }
    EXPECT_THAT(allocations.sizes(), testing::ElementsAre(slab));
    gpt.checkpointer().reset();
    EXPECT_EQ(gpt.live(Tag::checkpoints), 0);
  }
}

// Looks at what is kept where backward comes to a block.
class BoundaryWatch final : public nn::TapeObserver {
 public:
  void watch(std::function<Bytes()> kept) { kept_ = std::move(kept); }
  void on_event(const nn::TapeEvent& /*event*/) override {}
  void on_boundary(const nn::Region& region) override {
    if (kept_) {
      seen_.emplace_back(region.name, kept_());
    }
  }
  const std::vector<std::pair<std::string, Bytes>>& seen() const { return seen_; }

 private:
  std::function<Bytes()> kept_;
  std::vector<std::pair<std::string, Bytes>> seen_;
};

TEST_P(KeptBytes, ACheckpointGoesWithItsBlock) {
  using checkpointing::Overrides;
  for (const Overrides& settings :
       {Overrides{}, Overrides{.contiguous_memory_optimization = true, .number_checkpoints = kLayers},
        Overrides{.cpu_checkpointing = true}}) {
    BoundaryWatch watch;
    GptOptions watched = options(kOdd, checkpointing::full(), settings);
    watched.observer = &watch;
    RecordedGpt gpt(watched);
    gpt.forward();
    watch.watch([&] {
      const checkpointing::StoreStats stores = gpt.checkpointer().store_stats();
      return settings.contiguous_memory_optimization ? stores.slab_live
             : settings.cpu_checkpointing            ? stores.host_live
                                                     : gpt.live(Tag::checkpoints);
    });
    gpt.backward();
    const Bytes one = block_of(checkpoint_bytes(kOdd));
    EXPECT_THAT(watch.seen(), testing::ElementsAre(std::pair("h.2", 3 * one), std::pair("h.1", 2 * one),
                                                   std::pair("h.0", one), std::pair("", 0)));
  }
}

TEST_P(KeptBytes, WithEverythingKeptAreThoseOfTheReport) {
  for (const GptSizes& sizes : {kOdd, kEven}) {
    RecordedGpt gpt(options(sizes, checkpointing::none()));
    gpt.forward();
    Bytes listed = 0;
    for (const nn::Residual& residual : gpt.tape().residuals()) {
      EXPECT_EQ(residual.what, nn::Retain::keep) << residual.name;
      listed += block_of(residual.bytes);
    }
    // The head has made its gradients already.
    EXPECT_EQ(listed, gpt.live(Tag::activations) + gpt.live(Tag::gradients) - inputs_and_loss(sizes));
    EXPECT_EQ(gpt.live(Tag::checkpoints), 0);
  }
}

TEST_P(KeptBytes, OfABlockWithEverythingKeptAreSixteenValuesAndStatistics) {
  RecordedGpt gpt(options(kEven, checkpointing::none()));
  gpt.forward();
  std::vector<std::string> names;
  Bytes listed = 0;
  for (const nn::Residual& residual : gpt.tape().residuals()) {
    if (residual.region == "h.1") {
      names.push_back(residual.name);
      listed += block_of(residual.bytes);
    }
  }
  EXPECT_THAT(names, UnorderedElementsAre("x", "ln_1", "mean", "rstd", "qkv", "attention", "lse", "x_mid", "ln_2",
                                          "mean", "rstd", "gelu", "pre_gelu"));

  GptSizes fewer = kEven;
  --fewer.layers;
  RecordedGpt smaller(options(fewer, checkpointing::none()));
  smaller.forward();
  const Bytes measured = gpt.live(Tag::activations) - smaller.live(Tag::activations);
  EXPECT_EQ(measured, listed);
  // A float for each row: two statistics of each norm, and one of attention for each head.
  const Bytes statistics = 4 * kEven.rows() * (4 + kEven.heads);
  EXPECT_EQ(measured, 16 * kEven.elems() * nn::size_of(dtype()) + statistics);
  // In bf16: 34 bytes for each of B T C, which is what Korthikanti et al. 2022 (arXiv:2205.05198) count without the
  // attention matrix.
  EXPECT_LT(measured, 17 * kEven.elems() * nn::size_of(dtype()));
}

INSTANTIATE_TEST_SUITE_P(DTypes, KeptBytes, testing::Values(nn::DType::f32, nn::DType::bf16),
                         [](const auto& info) { return std::string(nn::name(info.param)); });

}  // namespace
}  // namespace retape::integration
