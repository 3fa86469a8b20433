// A limit of memory is kept, what it has to be is known before the run, and less of it never takes more.
#include <gmock/gmock.h>

#include <array>
#include <string>
#include <string_view>

#include "nn/base/error.h"
#include "tests/integration/checkpointing/tiny_runs.h"
#include "trainer/memory_plan.h"

namespace retape::integration {
namespace {

// Every policy without a store, with a slab, and with a slab on the host.
std::vector<Combination> combinations_with_limits() {
  std::vector<Combination> combinations;
  for (const PolicyCase& policy : all_policies()) {
    combinations.push_back({.policy = policy});
    if (policy.policy != trainer::CheckpointPolicy::none) {
      combinations.push_back({.policy = policy, .stores = {.slab = Slab::measured}});
      combinations.push_back({.policy = policy, .stores = {.slab = Slab::measured, .host = true}});
    }
  }
  return combinations;
}

// Activations are most of what is held.
trainer::Config config_of(const Combination& combination, std::int64_t rows) {
  trainer::Config config = tiny_config(combination);
  config.model.dim = 16;
  config.model.seq_len = 32;
  config.train.batch_size = rows;
  config.train.grad_accum = 2;
  return config;
}

// A limit of 0 is none.
trainer::Config within(trainer::Config config, Bytes limit) {
  config.run.memory_limit = limit;
  return config;
}

bool plan_fits(const trainer::Config& config) {
  return trainer::plan_memory(config, kTinyVocab).fits;
}

// What is needed, as the message says that refuses the run.
Bytes needed_limit(trainer::Config config) {
  config.run.memory_limit = 1;
  try {
    trainer::require_fit(config, kTinyVocab, trainer::plan_memory(config, kTinyVocab));
  } catch (const OutOfMemory& refused) {
    constexpr std::string_view kBefore = "run.memory_limit: expected at least ";
    const std::string message = refused.what();
    const std::size_t at = message.find(kBefore);
    require(at != std::string::npos, "expected what is needed, got: {}", message);
    return std::stoll(message.substr(at + kBefore.size()));
  }
  fail("expected a limit of 1 byte to be refused");
}

struct Trained {
  std::vector<std::uint64_t> gradient_hashes;
  nn::MemoryStats memory;
};

Trained train(nn::DeviceKind kind, const trainer::Config& config) {
  TinyRun run(kind, config, parallel::Topology::single(), measure_slab(config, 0, 1));
  Trained trained;
  for (int step = 0; step < 3; ++step) {
    trained.gradient_hashes.push_back(run.step().grad_hash.value());
    if (step == 0) {
      run.evaluate();
    }
  }
  trained.memory = run.learner().memory();
  return trained;
}

// Fault 20: a budget is given and exceeded, and a lower one peaks higher.
class Faults : public testing::TestWithParam<Combination> {
 protected:
  // Every limit from the needed one up is enough, and none takes more than one above it. Returns the accounts of the
  // lowest.
  static nn::MemoryStats go_down(const trainer::Config& config, Bytes needed) {
    constexpr std::array<Bytes, 14> kThousandths{64000, 16000, 8000, 4000, 2000, 1500, 1250,
                                                 1100,  1050,  1020, 1010, 1005, 1002, 1000};
    nn::MemoryStats above = train(nn::DeviceKind::meta, config).memory;
    for (const Bytes of_needed : kThousandths) {
      const Bytes limit = needed * of_needed / 1000;
      SCOPED_TRACE(fmt::format("{} bytes, of which {} are needed", limit, needed));
      EXPECT_TRUE(plan_fits(within(config, limit)));
      const nn::MemoryStats memory = train(nn::DeviceKind::meta, within(config, limit)).memory;
      EXPECT_LE(memory.peak_reserved, limit);
      EXPECT_LE(memory.peak_reserved, above.peak_reserved);
      EXPECT_LE(memory.peak, above.peak);
      above = memory;
    }
    return above;
  }
};

TEST_P(Faults, F20_ALimitThatIsEnoughIsKeptAndALowerOneNeverTakesMore) {
  const trainer::Config config = config_of(GetParam(), 8);
  const Bytes needed = needed_limit(config);
  const Trained unlimited = train(nn::DeviceKind::cpu, config);
  const Trained limited = train(nn::DeviceKind::cpu, within(config, needed));
  EXPECT_EQ(limited.gradient_hashes, unlimited.gradient_hashes);
  EXPECT_EQ(limited.memory.peak, unlimited.memory.peak);
  EXPECT_LE(limited.memory.peak_reserved, needed);
  EXPECT_FALSE(plan_fits(within(config, needed - needed / 100)));
  EXPECT_EQ(go_down(config, needed), limited.memory);
}

// So many rows that memory is reserved in many segments; where one begins depends on the limit. In plans alone.
TEST_P(Faults, F20_AlsoWhereMemoryLiesInManySegments) {
  const trainer::Config config = config_of(GetParam(), 512);
  const Bytes needed = needed_limit(config);
  EXPECT_FALSE(plan_fits(within(config, needed - needed / 100)));
  go_down(config, needed);
}

INSTANTIATE_TEST_SUITE_P(Limits, Faults, testing::ValuesIn(combinations_with_limits()),
                         [](const auto& info) { return info.param.name(); });

}  // namespace
}  // namespace retape::integration
