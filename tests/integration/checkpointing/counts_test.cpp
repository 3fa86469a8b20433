// What a step computes, op by op, and that nothing is computed again that nobody reads.
#include <gmock/gmock.h>

#include <map>

#include "tests/integration/checkpointing/recorded_gpt.h"

namespace retape::integration {
namespace {

namespace testing = ::testing;
using Work = nn::TapeEvent::Work;

constexpr GptSizes kSizes{.layers = 4, .batch = 3, .seq_len = 7, .dim = 10, .heads = 2, .vocab = 23};

// Times by (region, what ran). A linear is told by what it costs.
class Counter final : public nn::TapeObserver {
 public:
  using Counts = std::map<std::pair<std::string, std::string>, int>;

  void on_event(const nn::TapeEvent& event) override {
    if (event.work != Work::forward && event.work != Work::rebuild) {
      return;
    }
    const bool forward = event.work == Work::forward;
    ++(forward ? forward_ : rebuilt_)[{event.region->name, name_of(event)}];
    (forward ? forward_flops_ : rebuilt_flops_) += event.flops;
  }

  int times_run(const std::string& region, const std::string& what) const {
    return count(forward_, region, what) + count(rebuilt_, region, what);
  }
  const Counts& forward() const { return forward_; }
  const Counts& rebuilt() const { return rebuilt_; }
  Flops forward_flops() const { return forward_flops_; }
  Flops rebuilt_flops() const { return rebuilt_flops_; }

 private:
  static int count(const Counts& counts, const std::string& region, const std::string& what) {
    const auto found = counts.find({region, what});
    return found == counts.end() ? 0 : found->second;
  }

  static std::string name_of(const nn::TapeEvent& event) {
    if (event.op != "linear") {
      return std::string(event.op);
    }
    const Flops unit = 2 * kSizes.elems() * kSizes.dim;
    return event.flops == 3 * unit   ? "qkv"
           : event.flops == unit     ? "attn_proj"
           : event.flops == 4 * unit ? "mlp_down"
                                     : "linear";
  }

  Counts forward_;
  Counts rebuilt_;
  Flops forward_flops_ = 0;
  Flops rebuilt_flops_ = 0;
};

std::string block_region(std::int64_t layer) {
  return fmt::format("h.{}", layer);
}

// FLOPs of parts of the model, as arithmetic on its sizes has them.
constexpr Flops kProduct = 2 * kSizes.elems() * kSizes.dim;  // [B T, C] times [C, C]
constexpr Flops kNorm = 8 * kSizes.elems();
constexpr Flops kDropout = 2 * kSizes.elems();
constexpr Flops kEmbedding = kSizes.elems();
constexpr Flops kAttention = 2 * kSizes.elems() * kSizes.seq_len;
constexpr Flops kHead = 6 * kSizes.elems() * kSizes.vocab;
constexpr Flops kGelu = 32 * kSizes.elems();
constexpr Flops kMlpDown = 4 * kProduct;
constexpr Flops kBlock =
    2 * kNorm + 3 * kProduct + kAttention + kProduct + kDropout + 4 * kProduct + kGelu + kMlpDown + kDropout;
constexpr Flops kForward = kEmbedding + kDropout + kSizes.layers * kBlock + kNorm + kHead;

// How many blocks are in the region: groups that are rebuilt as a whole are one.
int blocks_in(const std::string& region, const checkpointing::Policy& policy) {
  if (!policy.grouping.merged || region.empty()) {
    return 1;
  }
  const int size = policy.grouping.size;
  const int group = std::stoi(region.substr(std::string_view("group.").size()));
  return std::min(size, static_cast<int>(kSizes.layers) - group * size);
}

// A step, and that the tape counts what its observer sees.
nn::TapeStats step(const checkpointing::Policy& policy, Counter& counter, nn::DType dtype) {
  RecordedGpt gpt({.sizes = kSizes, .dtype = dtype, .policy = policy, .observer = &counter});
  gpt.forward();
  gpt.backward();
  const nn::TapeStats& stats = gpt.tape().stats();
  EXPECT_EQ(stats.forward_flops, counter.forward_flops());
  EXPECT_EQ(stats.rebuilt_flops, counter.rebuilt_flops());
  EXPECT_EQ(stats.forward_flops, kForward);
  for (const auto& [place, times] : counter.forward()) {
    const bool twice = place.second == "layer_norm" || place.second == "dropout";  // in a block
    const int in_a_block = twice && !place.first.empty() ? 2 : 1;
    EXPECT_EQ(times, in_a_block * blocks_in(place.first, policy)) << place.first << " " << place.second;
  }
  return stats;
}

class Counts : public testing::TestWithParam<nn::DType> {};

TEST_P(Counts, KeepingEverythingRunsEachOpOnce) {
  Counter counter;
  const nn::TapeStats stats = step(checkpointing::none(), counter, GetParam());
  EXPECT_THAT(counter.rebuilt(), testing::IsEmpty());
  EXPECT_EQ(stats.forward_ops, 4 + 9 * kSizes.layers);
  EXPECT_EQ(stats.rebuilt_flops, 0);
}

TEST_P(Counts, FullRunsEachOpOnceMoreAndTheEndsOfBlocksNever) {
  Counter counter;
  const nn::TapeStats stats = step(checkpointing::full(), counter, GetParam());
  // All of a block but its last linear and its last residual, which is one of two dropouts.
  Counter::Counts expected;
  for (std::int64_t layer = 0; layer < kSizes.layers; ++layer) {
    const std::string region = block_region(layer);
    expected[{region, "layer_norm"}] = 2;
    for (const char* op : {"qkv", "attention", "attn_proj", "dropout", "linear_gelu"}) {
      expected[{region, op}] = 1;
    }
    EXPECT_EQ(counter.times_run(region, "mlp_down"), 1) << region;
    EXPECT_EQ(counter.times_run(region, "dropout"), 3) << region;
  }
  EXPECT_EQ(counter.rebuilt(), expected);
  EXPECT_EQ(stats.rebuilt_ops, 7 * kSizes.layers);
  EXPECT_EQ(stats.rebuilt_flops, kSizes.layers * (kBlock - kMlpDown - kDropout));
}

TEST_P(Counts, BlockRebuildsTheFirstBlocksOnly) {
  Counter counter;
  const nn::TapeStats stats = step(checkpointing::block(2), counter, GetParam());
  for (const auto& [place, times] : counter.rebuilt()) {
    EXPECT_THAT(place.first, testing::AnyOf("h.0", "h.1"));
  }
  EXPECT_EQ(stats.rebuilt_flops, 2 * (kBlock - kMlpDown - kDropout));
}

// A group is rebuilt whole: the ends of the blocks inside it are read, that of its last block is not.
TEST_P(Counts, UniformRunsEachOpOnceMoreAndTheEndsOfGroupsNever) {
  Counter counter;
  const nn::TapeStats stats = step(checkpointing::uniform(2), counter, GetParam());
  const Flops groups = kSizes.layers / 2;
  EXPECT_EQ(stats.rebuilt_ops, kSizes.layers * 9 - groups * 2);
  EXPECT_EQ(stats.rebuilt_flops, kSizes.layers * kBlock - groups * (kMlpDown + kDropout));
}

TEST_P(Counts, UniformAlsoWhereTheLastGroupIsSmaller) {
  Counter counter;
  const nn::TapeStats stats = step(checkpointing::uniform(3), counter, GetParam());
  EXPECT_EQ(stats.rebuilt_flops, kSizes.layers * kBlock - 2 * (kMlpDown + kDropout));
}

// In a group the first block runs again as far as the second one's input, and each then as under full.
TEST_P(Counts, NestedRunsNoOpMoreThanThreeTimes) {
  Counter counter;
  const nn::TapeStats stats = step(checkpointing::nested(2), counter, GetParam());
  EXPECT_EQ(stats.rebuilt_flops, kSizes.layers * (kBlock - kMlpDown - kDropout) + kSizes.layers / 2 * kBlock);
  for (std::int64_t layer = 0; layer < kSizes.layers; ++layer) {
    EXPECT_EQ(counter.times_run(block_region(layer), "qkv"), layer % 2 == 0 ? 3 : 2);
    EXPECT_EQ(counter.times_run(block_region(layer), "mlp_down"), layer % 2 == 0 ? 2 : 1);
  }
}

// A block whose input is not kept gets it from the block before, which runs again for itself after that.
TEST_P(Counts, FullAtEverySecondBoundaryRunsNoOpMoreThanThreeTimes) {
  Counter counter;
  const nn::TapeStats stats = step(checkpointing::full(2), counter, GetParam());
  EXPECT_EQ(stats.rebuilt_flops, kSizes.layers * (kBlock - kMlpDown - kDropout) + kSizes.layers / 2 * kBlock);
}

// Norms come from their statistics and GELU from its input: no product runs again.
TEST_P(Counts, SelectiveRebuildsNormsAndGeluWithoutAProduct) {
  Counter counter;
  const nn::TapeStats stats = step(checkpointing::selective({"layer_norm", "gelu"}), counter, GetParam());
  Counter::Counts expected;
  for (std::int64_t layer = 0; layer < kSizes.layers; ++layer) {
    expected[{block_region(layer), "layer_norm"}] = 2;
    expected[{block_region(layer), "linear_gelu"}] = 1;
  }
  EXPECT_EQ(counter.rebuilt(), expected);
  constexpr Flops kNormFromStatistics = 4 * kSizes.elems();
  EXPECT_EQ(stats.rebuilt_flops, kSizes.layers * (2 * kNormFromStatistics + kGelu));
}

INSTANTIATE_TEST_SUITE_P(DTypes, Counts, testing::Values(nn::DType::f32, nn::DType::bf16),
                         [](const auto& info) { return std::string(nn::name(info.param)); });

}  // namespace
}  // namespace retape::integration
