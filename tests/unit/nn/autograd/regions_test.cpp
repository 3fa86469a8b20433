// Groups of regions, and what each way to let go costs: runs of each op, and values there at once.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "nn/base/error.h"
#include "tests/support/policies.h"
#include "tests/unit/nn/autograd/tape_case.h"

namespace retape::nn {
namespace {

using toy::DoubleReadingInput;
using toy::DoubleReadingNothing;
using toy::DoubleReadingOutput;

// Lets go of everything inside regions, and of their inputs but every `keep_every`-th.
class LetGo final : public RetentionPolicy {
 public:
  explicit LetGo(RegionGrouping grouping, int keep_every = 1) : grouping_(grouping), keep_every_(keep_every) {}
  Decision decide(const ValueInfo& value) const override {
    const bool inside = value.home->depth > 0;
    const bool skipped = !inside && value.reader->depth > 0 && value.reader->layer % keep_every_ != 0;
    return {.what = inside || skipped ? Retain::recompute : Retain::keep};
  }
  RegionGrouping grouping() const override { return grouping_; }

 private:
  RegionGrouping grouping_;
  int keep_every_;
};

// The names of regions as they are opened and closed, "+" and "-".
class Boundaries final : public TapeObserver {
 public:
  void on_event(const TapeEvent& /*event*/) override {}
  void on_boundary(const Region& region) override {
    names.push_back((region.last == kNone ? "+" : "-") + region.name);
    layers.push_back(region.layer);
    transparent.push_back(region.transparent);
  }
  std::vector<std::string> names;
  std::vector<int> layers;
  std::vector<bool> transparent;
};

using Names = std::vector<std::string>;

class Grouping : public TapeCase {};

TEST_F(Grouping, PutsConsecutiveRegionsIntoGroupsAndClipsTheLast) {
  for (const bool merged : {true, false}) {
    const LetGo policy({.size = 2, .merged = merged});
    Boundaries boundaries;
    Tape tape(context_, {.policy = &policy, .observer = &boundaries});
    Var x = start(tape);
    for (int layer = 0; layer < 3; ++layer) {
      x = block(tape, std::move(x), layer, 1);
    }
    EXPECT_EQ(boundaries.names,
              (Names{"+group.0", "+h.0", "-h.0", "+h.1", "-h.1", "-group.0", "+group.1", "+h.2", "-h.2"}));
    EXPECT_EQ(boundaries.layers, (std::vector{0, 0, 0, 1, 1, 0, 2, 2, 2}));
    for (std::size_t i = 0; i < boundaries.names.size(); ++i) {
      EXPECT_EQ(boundaries.transparent[i], merged && boundaries.names[i][1] == 'h') << boundaries.names[i];
    }
    tape.backward(std::move(x));
    EXPECT_EQ(boundaries.names[9], "-group.1");
    EXPECT_EQ(take_gradient(), 16);
  }
}

TEST_F(Grouping, OfOneIsNone) {
  for (const bool merged : {true, false}) {
    const LetGo policy({.size = 1, .merged = merged});
    Boundaries boundaries;
    log_ = {};
    Tape tape(context_, {.policy = &policy, .observer = &boundaries});
    Var x = block(tape, block(tape, start(tape), 0, 3), 1, 3);
    EXPECT_EQ(boundaries.names, (Names{"+h.0", "-h.0", "+h.1", "-h.1"}));
    tape.backward(std::move(x));
    EXPECT_EQ(log_.runs(0), 2);
    EXPECT_EQ(log_.runs(2), 1);
  }
}

TEST_F(Grouping, AnOpBetweenRegionsEndsTheGroup) {
  for (const bool merged : {true, false}) {
    const LetGo policy({.size = 3, .merged = merged});
    Boundaries boundaries;
    log_ = {};
    Tape tape(context_, {.policy = &policy, .observer = &boundaries});
    Var x = block(tape, block(tape, start(tape), 0, 2), 1, 2);
    EXPECT_EQ(tape.depth(), 1);
    x = apply<DoubleReadingInput>(tape, std::move(x), 50);
    EXPECT_EQ(tape.depth(), 0);
    x = block(tape, block(tape, std::move(x), 2, 2), 3, 2);
    tape.backward(std::move(x));
    EXPECT_EQ(std::count(boundaries.names.begin(), boundaries.names.end(), "+h.3"), 1);
    // The op between is in no group: its input is kept, so that neither it nor what made its input runs again.
    EXPECT_EQ(log_.runs(50), 1);
    EXPECT_EQ(log_.runs(3), 1);
    EXPECT_EQ(log_.runs(7), 1);
    EXPECT_EQ(take_gradient(), 1024);
  }
}

TEST_F(Grouping, ARegionWithAPolicyOfItsOwnStandsAlone) {
  const LetGo policy({.size = 2, .merged = true});
  const DropInRegions own;
  Boundaries boundaries;
  Tape tape(context_, {.policy = &policy, .observer = &boundaries});
  Var x = block(tape, start(tape), 0, 1);
  {
    const RegionScope region = tape.region("own", &own);
    x = apply<DoubleReadingInput>(tape, std::move(x), 1);
  }
  x = block(tape, std::move(x), 2, 1);
  EXPECT_EQ(boundaries.names,
            (Names{"+group.0", "+h.0", "-h.0", "-group.0", "+own", "-own", "+group.1", "+h.2", "-h.2"}));
  tape.backward(std::move(x));
}

TEST_F(Grouping, RegionsInsideRegionsAreNotGrouped) {
  const LetGo policy({.size = 2, .merged = false});
  Boundaries boundaries;
  Tape tape(context_, {.policy = &policy, .observer = &boundaries});
  Var x = start(tape);
  {
    const RegionScope outer = tape.region("outer");
    for (const char* name : {"a", "b", "c"}) {
      const RegionScope inner = tape.region(name);
      x = apply<DoubleReadingInput>(tape, std::move(x), 1);
    }
  }
  EXPECT_EQ(boundaries.names, (Names{"+group.0", "+outer", "+a", "-a", "+b", "-b", "+c", "-c", "-outer"}));
  tape.backward(std::move(x));
}

// What a chain of blocks costs, against the schedules' own arithmetic.
struct ChainCase {
  enum class Way { every, nested, uniform };
  Way way;
  int blocks;
  int ops;  // in a block, at least 3
  int size;
};

// How often op `i` of block `b` runs. Segments are what lies between two kept values; the last may be shorter.
int expected_runs(const ChainCase& chain, int b, int i) {
  const bool last_of_segment = b % chain.size == chain.size - 1 || b == chain.blocks - 1;
  const bool last_of_block = i == chain.ops - 1;
  if (chain.way == ChainCase::Way::uniform) {
    return last_of_segment && last_of_block ? 1 : 2;
  }
  // The segment is rebuilt once for its last block, and each other block once more by itself.
  return (last_of_segment ? 2 : 3) - (last_of_block ? 1 : 0);
}

// Kept values of the segments up to one, and what is rebuilt inside it.
Bytes expected_peak(const ChainCase& chain) {
  Bytes peak = 0;
  for (int first = 0; first < chain.blocks; first += chain.size) {
    const int size = std::min(chain.size, chain.blocks - first);
    const int rebuilt = chain.way == ChainCase::Way::uniform ? size * chain.ops - 1 : (size - 1) + (chain.ops - 1);
    peak = std::max<Bytes>(peak, first / chain.size + 1 + rebuilt);
  }
  return peak;
}

class Chains : public TapeCase, public testing::WithParamInterface<ChainCase> {};

TEST_P(Chains, RunAndHoldExactlyWhatTheScheduleSays) {
  const ChainCase& chain = GetParam();
  const bool grouped = chain.way != ChainCase::Way::every;
  const LetGo policy({.size = grouped ? chain.size : 1, .merged = chain.way == ChainCase::Way::uniform},
                     grouped ? 1 : chain.size);
  BlockMeter meter(device_);
  Tape tape(context_, {.policy = &policy});
  Var x = start(tape);
  for (int layer = 0; layer < chain.blocks; ++layer) {
    x = block(tape, std::move(x), layer, chain.ops);
  }
  tape.backward(std::move(x));
  for (int b = 0; b < chain.blocks; ++b) {
    for (int i = 0; i < chain.ops; ++i) {
      EXPECT_EQ(log_.runs(b * chain.ops + i), expected_runs(chain, b, i)) << "block " << b << ", op " << i;
    }
  }
  EXPECT_EQ(log_.runs(kStart), 1);
  EXPECT_EQ(meter.peak(), expected_peak(chain));
  EXPECT_EQ(meter.live(), 0);
  EXPECT_EQ(tape.stats().rebuilt_ops + tape.stats().forward_ops, static_cast<std::int64_t>(log_.forward.size()));
}

std::vector<ChainCase> chain_cases() {
  std::vector<ChainCase> cases;
  for (const ChainCase::Way way : {ChainCase::Way::every, ChainCase::Way::nested, ChainCase::Way::uniform}) {
    for (const int size : {1, 2, 3, 4, 12, 20}) {
      cases.push_back({.way = way, .blocks = 12, .ops = 4, .size = size});
    }
    cases.push_back({.way = way, .blocks = 10, .ops = 3, .size = 3});
    cases.push_back({.way = way, .blocks = 25, .ops = 5, .size = 6});
  }
  return cases;
}

std::string chain_name(const testing::TestParamInfo<ChainCase>& info) {
  const auto& [way, blocks, ops, size] = info.param;
  const std::string name = way == ChainCase::Way::every    ? "every"
                           : way == ChainCase::Way::nested ? "nested"
                                                           : "uniform";
  return name + "_" + std::to_string(size) + "_of_" + std::to_string(blocks) + "_by_" + std::to_string(ops);
}

INSTANTIATE_TEST_SUITE_P(Ways, Chains, testing::ValuesIn(chain_cases()), chain_name);

// Keeps nothing, wherever it is.
class KeepNothing final : public RetentionPolicy {
 public:
  Decision decide(const ValueInfo& /*value*/) const override { return {.what = Retain::recompute}; }
};

class ResidualNetwork : public TapeCase {
 protected:
  static constexpr int kBlocks = 48;

  template <class F>
  Var residual(Tape& tape, const Var& x, int id) {
    return sum(tape, x, apply<F>(tape, x, id), id + 1);
  }
  // x + f(x), then y + g(y), in each block.
  template <class F, class G>
  Var network(Tape& tape, Var x) {
    for (int layer = 0; layer < kBlocks; ++layer) {
      const RegionScope region = tape.region("h");
      x = residual<F>(tape, x, 4 * layer);
      x = residual<G>(tape, x, 4 * layer + 2);
    }
    return x;
  }
  template <class F, class G>
  void expect_at_most_three_runs() {
    const KeepNothing policy;
    float kept = 0;
    for (const bool keep : {true, false}) {
      log_ = {};
      BlockMeter meter(device_);
      Tape tape(context_, {.policy = keep ? nullptr : &policy});
      Var x = network<F, G>(tape, start(tape));
      tape.backward(apply<DoubleReadingInput>(tape, std::move(x), 1000), {.seed = 0x1p-96F});
      for (int id = 0; id < 4 * kBlocks; ++id) {
        EXPECT_LE(log_.runs(id), keep ? 1 : 3) << id;
      }
      EXPECT_EQ(meter.live(), 0);
      if (!keep) {
        EXPECT_EQ(take_gradient(), kept);
      } else {
        kept = take_gradient();
      }
    }
  }
};

// There are 2^96 paths from the first value to the last, and none of the work may follow them.
TEST_F(ResidualNetwork, OfWhichNothingIsKeptRunsEachOpAtMostThreeTimes) {
  expect_at_most_three_runs<DoubleReadingInput, DoubleReadingInput>();
  expect_at_most_three_runs<DoubleReadingOutput, DoubleReadingOutput>();
  expect_at_most_three_runs<DoubleReadingNothing, DoubleReadingInput>();
  expect_at_most_three_runs<DoubleReadingOutput, DoubleReadingNothing>();
  expect_at_most_three_runs<DoubleReadingNothing, DoubleReadingNothing>();
}

TEST_F(ResidualNetwork, ThatNoBackwardReadsIsNotSearchedPathByPath) {
  const KeepNothing policy;
  Tape tape(context_, {.policy = &policy});
  const Var x = start(tape);
  Var branch = network<DoubleReadingNothing, DoubleReadingNothing>(tape, x);
  Var read = apply<DoubleReadingInput>(tape, x, 1000);
  tape.backward(sum(tape, std::move(branch), std::move(read), 1001), {.seed = 0x1p-96F});
  EXPECT_EQ(log_.runs(0), 1);
  EXPECT_EQ(log_.backward.size(), 4U * kBlocks + 3);
}

}  // namespace
}  // namespace retape::nn
