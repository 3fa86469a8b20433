// No way to keep activations changes a bit of what is learned.
#include <gmock/gmock.h>

#include <bit>

#include "tests/integration/checkpointing/tiny_runs.h"
#include "tests/support/random_values.h"
#include "tests/support/ranks.h"

namespace retape::integration {
namespace {

namespace testing = ::testing;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::int64_t kEvaluateEvery = 3;

// Everything that a run computes.
struct Trajectory {
  std::vector<std::uint64_t> losses;  // the bits of each
  std::vector<std::uint64_t> validation_losses;
  std::vector<std::uint64_t> gradient_hashes;
  std::vector<std::vector<float>> parameters;
  nn::RngState rng;
  // What it took.
  std::set<std::string> places;
  std::vector<std::string> warnings;
  std::int64_t rebuilt_ops = 0;
  Bytes offloaded = 0;
  bool profiled = false;
};

Trajectory train(TinyRun& run, std::int64_t steps) {
  Trajectory trajectory;
  for (std::int64_t step = 0; step < steps; ++step) {
    const trainer::StepResult result = run.step();
    trajectory.losses.push_back(std::bit_cast<std::uint64_t>(result.loss));
    trajectory.gradient_hashes.push_back(result.grad_hash.value());
    trajectory.rebuilt_ops += result.work.rebuilt_ops;
    trajectory.offloaded += result.offload_bytes;
    trajectory.profiled = result.profile && !result.profile->regions().empty();
    if (step % kEvaluateEvery == 0) {
      trajectory.validation_losses.push_back(std::bit_cast<std::uint64_t>(run.evaluate()));
    }
  }
  for (const nn::Parameter* parameter : run.learner().model().parameters()) {
    trajectory.parameters.push_back(parameter->weight().to_host<float>());
  }
  trajectory.rng = run.learner().context().default_generator().state();
  trajectory.places = run.places();
  trajectory.warnings = run.warnings();
  return trajectory;
}

Trajectory train_alone(const trainer::Config& config) {
  TinyRun run(nn::DeviceKind::cpu, config, parallel::Topology::single(), 0);
  return train(run, config.train.steps);
}

// What each rank comes to.
std::vector<Trajectory> train(const trainer::Config& config, int ranks) {
  return parallel::testing::on_ranks(ranks, [&](parallel::Communicator& world) {
    TinyRun run(nn::DeviceKind::cpu, config, parallel::make_topology(world, ranks),
                measure_slab(config, world.rank(), ranks));
    return train(run, config.train.steps);
  });
}

// Everything kept, on one rank that has nobody to share with: what all others have to come to.
const Trajectory& reference(nn::DType dtype) {
  static const Trajectory kF32 = train_alone(tiny_config({.dtype = nn::DType::f32}));
  static const Trajectory kBf16 = train_alone(tiny_config({.dtype = nn::DType::bf16}));
  return dtype == nn::DType::f32 ? kF32 : kBf16;
}

bool same_parameters(const Trajectory& a, const Trajectory& b) {
  return std::equal(a.parameters.begin(), a.parameters.end(), b.parameters.begin(), b.parameters.end(),
                    retape::testing::same_bits<float>);
}

void expect_same_bits(const Trajectory& found, const Trajectory& expected) {
  EXPECT_EQ(found.losses, expected.losses);
  EXPECT_EQ(found.validation_losses, expected.validation_losses);
  EXPECT_EQ(found.gradient_hashes, expected.gradient_hashes);
  EXPECT_TRUE(same_parameters(found, expected));
  EXPECT_EQ(found.rng, expected.rng);
}

// On every rank: the bits of the reference, and so of each other.
void expect_reference_bits(const std::vector<Trajectory>& found, nn::DType dtype, const std::string& what) {
  for (std::size_t rank = 0; rank < found.size(); ++rank) {
    SCOPED_TRACE(fmt::format("{}, rank {}", what, rank));
    expect_same_bits(found[rank], reference(dtype));
  }
}

class BitsMatrix : public testing::TestWithParam<Combination> {};

TEST_P(BitsMatrix, AreThoseOfKeepingEverything) {
  const Combination& combination = GetParam();
  const std::vector<Trajectory> ranks = train(tiny_config(combination), combination.ranks);
  expect_reference_bits(ranks, combination.dtype, combination.name());
  // And the combination has done what it says.
  const bool lets_go = combination.policy.policy != trainer::CheckpointPolicy::none;
  for (const Trajectory& rank : ranks) {
    EXPECT_EQ(rank.rebuilt_ops > 0, lets_go) << combination;
    EXPECT_EQ(rank.offloaded > 0, lets_go && combination.stores.host) << combination;
    EXPECT_THAT(rank.warnings, IsEmpty()) << combination;
    if (combination.place().empty()) {
      EXPECT_THAT(rank.places, IsEmpty()) << combination;
    } else {
      EXPECT_THAT(rank.places, ElementsAre(combination.place())) << combination;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, BitsMatrix, testing::ValuesIn(all_combinations()),
                         [](const auto& info) { return info.param.name(); });

// --- What the matrix leaves out ------------------------------------------------------------------------------------

// Host memory with room for some of the four checkpoints.
struct ExhaustedHost {
  Combination combination;
  int room = 0;                  // in whole checkpoints
  std::set<std::string> places;  // where they come to lie
};

std::ostream& operator<<(std::ostream& stream, const ExhaustedHost& host) {
  return stream << host.combination << "_room_for_" << host.room;
}

std::vector<ExhaustedHost> exhausted_hosts() {
  std::vector<ExhaustedHost> hosts;
  for (const nn::DType dtype : {nn::DType::f32, nn::DType::bf16}) {
    for (const int ranks : {1, 2}) {
      const std::string on_device = ranks == 1 ? "in place" : "partitioned";
      const std::string on_host = ranks == 1 ? "offloaded" : "partitioned, offloaded";
      for (const Slab slab : {Slab::off, Slab::measured, Slab::counted}) {
        const Combination combination{policy_named("full"), {ranks > 1, slab, true}, dtype, ranks};
        hosts.push_back({combination, 0, {on_device}});
        // A slab is there whole or not at all.
        hosts.push_back({combination, 1, slab == Slab::off ? std::set{on_device, on_host} : std::set{on_device}});
      }
    }
  }
  return hosts;
}

class HostFallback : public testing::TestWithParam<ExhaustedHost> {};

TEST_P(HostFallback, KeepsTheBits) {
  const auto& [combination, room, places] = GetParam();
  trainer::Config config = tiny_config(combination);
  const Bytes checkpoint_bytes =
      config.train.batch_size * config.model.seq_len * config.model.dim * nn::size_of(combination.dtype);
  config.activation_checkpointing.host_memory_limit =
      room == 0 ? 1 : room * round_up(checkpoint_bytes, nn::Allocator::kAlignment);
  const std::vector<Trajectory> ranks = train(config, combination.ranks);
  expect_reference_bits(ranks, combination.dtype, testing::PrintToString(GetParam()));
  for (const Trajectory& rank : ranks) {
    ASSERT_EQ(rank.warnings.size(), 1U);
    EXPECT_THAT(rank.warnings.front(), HasSubstr("host memory is exhausted"));
    EXPECT_EQ(rank.places, places);
  }
}

INSTANTIATE_TEST_SUITE_P(All, HostFallback, testing::ValuesIn(exhausted_hosts()),
                         [](const auto& info) { return testing::PrintToString(info.param); });

class BoundarySettings : public testing::TestWithParam<Combination> {};

TEST_P(BoundarySettings, KeepTheBits) {
  for (const bool synchronize : {false, true}) {
    for (const bool profile : {false, true}) {
      trainer::Config config = tiny_config(GetParam());
      config.activation_checkpointing.synchronize_checkpoint_boundary = synchronize;
      config.activation_checkpointing.profile = profile;
      const std::vector<Trajectory> ranks = train(config, GetParam().ranks);
      expect_reference_bits(ranks, GetParam().dtype,
                            fmt::format("{}, synchronize {}, profile {}", GetParam().name(), synchronize, profile));
      EXPECT_EQ(ranks.front().profiled, profile);
    }
  }
}

std::vector<Combination> with_all_stores_or_none() {
  std::vector<Combination> combinations;
  for (const PolicyCase& policy : all_policies()) {
    if (policy.policy != trainer::CheckpointPolicy::none) {
      combinations.push_back({policy, {}, nn::DType::f32, 1});
      combinations.push_back({policy, {.partition = true, .slab = Slab::measured, .host = true}, nn::DType::bf16, 2});
    }
  }
  return combinations;
}

INSTANTIATE_TEST_SUITE_P(All, BoundarySettings, testing::ValuesIn(with_all_stores_or_none()),
                         [](const auto& info) { return info.param.name(); });

// What is compared above tells runs apart.
TEST(Bits, DifferWhereTheRunDoes) {
  trainer::Config config = tiny_config({});
  config.run.seed = 2;
  const Trajectory other = train_alone(config);
  const Trajectory& first = reference(nn::DType::f32);
  EXPECT_NE(other.losses, first.losses);
  EXPECT_NE(other.validation_losses, first.validation_losses);
  EXPECT_NE(other.gradient_hashes, first.gradient_hashes);
  EXPECT_FALSE(same_parameters(other, first));
}

}  // namespace
}  // namespace retape::integration
