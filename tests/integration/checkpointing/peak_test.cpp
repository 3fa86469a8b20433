// What the meta device says of a run's memory is what the run takes, to the byte, for every way to keep activations.
#include <gmock/gmock.h>

#include "tests/integration/checkpointing/tiny_runs.h"
#include "tests/support/ranks.h"
#include "trainer/memory_plan.h"

namespace retape::integration {
namespace {

// The accounts of one rank.
struct Memory {
  nn::MemoryStats device;
  Bytes host_peak = 0;
  Bytes slab_bytes = 0;  // of the slab, where there is one
  std::vector<std::string> places;

  friend bool operator==(const Memory&, const Memory&) = default;
};

// Lines by which two accounts differ read better than bytes.
std::ostream& operator<<(std::ostream& stream, const Memory& memory) {
  const nn::MemoryStats& device = memory.device;
  stream << fmt::format("peak {}, activation peak {}, live {}, reserved {} (most {}), {} allocations, host {}, slab {}",
                        device.peak, device.activation_peak, device.live, device.reserved, device.peak_reserved,
                        device.allocations, memory.host_peak, memory.slab_bytes);
  for (int t = 0; t < nn::kTagCount; ++t) {
    const auto tag = static_cast<std::size_t>(t);
    stream << fmt::format("\n  {}: live {}, peak {}, at the peak {}", nn::name(static_cast<nn::Tag>(t)),
                          device.live_by_tag[tag], device.peak_by_tag[tag], device.at_peak_by_tag[tag]);
  }
  return stream;
}

Memory memory_of(TinyRun& run) {
  Memory memory{.device = run.learner().memory()};
  const checkpointing::StoreStats stores = run.checkpointer().store_stats();
  memory.host_peak = stores.host_peak;
  memory.slab_bytes = stores.slab_bytes;
  for (const nn::Residual& residual : run.residuals()) {
    memory.places.emplace_back(residual.place);
  }
  return memory;
}

// As plan_memory() goes through it.
void go_through(TinyRun& run) {
  run.step();
  run.evaluate();
  run.step();
}

Memory planned(const trainer::Config& config, int rank, int ranks) {
  TinyRun run(nn::DeviceKind::meta, config, planned_topology(rank, ranks), measure_slab(config, rank, ranks));
  go_through(run);
  return memory_of(run);
}

// After two steps, and the peaks after two more.
struct Measured {
  Memory memory;
  Bytes later_peak = 0;
  Bytes later_activation_peak = 0;
};

std::vector<Measured> measured(const trainer::Config& config, int ranks) {
  return parallel::testing::on_ranks(ranks, [&](parallel::Communicator& world) {
    TinyRun run(nn::DeviceKind::cpu, config, parallel::make_topology(world, ranks),
                measure_slab(config, world.rank(), ranks));
    go_through(run);
    Measured result{.memory = memory_of(run)};
    go_through(run);
    result.later_peak = run.learner().memory().peak;
    result.later_activation_peak = run.learner().memory().activation_peak;
    return result;
  });
}

void expect_as_planned(const trainer::Config& config, int ranks, const std::string& what) {
  const std::vector<Measured> found = measured(config, ranks);
  for (int rank = 0; rank < ranks; ++rank) {
    SCOPED_TRACE(fmt::format("{}, rank {}", what, rank));
    const Measured& of_rank = found[static_cast<std::size_t>(rank)];
    EXPECT_EQ(of_rank.memory, planned(config, rank, ranks));
    EXPECT_EQ(of_rank.later_peak, of_rank.memory.device.peak);
    EXPECT_EQ(of_rank.later_activation_peak, of_rank.memory.device.activation_peak);
  }
  if (ranks == 1) {
    SCOPED_TRACE(what);
    const trainer::MemoryPlan plan = trainer::plan_memory(config, kTinyVocab);
    EXPECT_EQ(plan.stats, found.front().memory.device);
    EXPECT_EQ(plan.host_peak_bytes, found.front().memory.host_peak);
    EXPECT_EQ(plan.slab_bytes, measure_slab(config, 0, 1));
  }
}

class PredictedPeakOf : public testing::TestWithParam<Combination> {};

TEST_P(PredictedPeakOf, IsTheMeasuredPeak) {
  const Combination& combination = GetParam();
  const trainer::Config config = tiny_config(combination);
  expect_as_planned(config, combination.ranks, combination.name());
  const bool stores = combination.policy.policy != trainer::CheckpointPolicy::none;
  EXPECT_EQ(planned(config, 0, combination.ranks).host_peak > 0, stores && combination.stores.host);
}

INSTANTIATE_TEST_SUITE_P(All, PredictedPeakOf, testing::ValuesIn(all_combinations()),
                         [](const auto& info) { return info.param.name(); });

TEST(PredictedPeak, HoldsWhereTheHostIsTooSmall) {
  for (const PolicyCase& policy : all_policies()) {
    for (const int ranks : {1, 2}) {
      for (const Slab slab : {Slab::off, Slab::measured, Slab::counted}) {
        for (const Bytes limit : {Bytes{1}, Bytes{1024}, Bytes{2048}}) {
          if (policy.policy == trainer::CheckpointPolicy::none && slab == Slab::measured) {
            continue;
          }
          const Combination combination{policy, {ranks > 1, slab, true}, nn::DType::f32, ranks};
          trainer::Config config = tiny_config(combination);
          config.activation_checkpointing.host_memory_limit = limit;
          expect_as_planned(config, ranks, fmt::format("{} with {} bytes", combination.name(), limit));
        }
      }
    }
  }
}

// The peaks of the host are of the run, not of the last step alone.
TEST(PredictedPeak, IsAlsoThatOfTheHost) {
  const Combination combination{policy_named("full"), {.host = true}};
  const trainer::Config config = tiny_config(combination);
  const Bytes checkpoint_bytes =
      round_up(config.train.batch_size * config.model.seq_len * config.model.dim * nn::size_of(config.model.dtype),
               nn::Allocator::kAlignment);
  EXPECT_EQ(trainer::plan_memory(config, kTinyVocab).host_peak_bytes, kTinyLayers * checkpoint_bytes);
}

}  // namespace
}  // namespace retape::integration
