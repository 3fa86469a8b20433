// What can differ between the ranks of a group, and so is not to be partitioned over it.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "nn/ops/dropout.h"
#include "tests/unit/checkpointing/probe.h"
#include "tests/unit/checkpointing/rank.h"

namespace retape::checkpointing {
namespace {

using nn::Placement;
using nn::Tape;
using nn::Var;

const nn::Shape kShape{6, 5};

// A region whose input has been dropped out under the state of this name.
class Case {
 public:
  explicit Case(Rank& rank) : rank_(rank), probes_(rank) {
    rank.seed();
    rank.checkpointer.rng().add("own", 100 + static_cast<std::uint64_t>(rank.rank));
    rank.checkpointer.rng().add("shared", 200, Placement::replicated);
  }

  std::vector<float> gradient(std::string_view state, bool of_a_constant = false) {
    Tape tape(rank_.context, rank_.checkpointer.tape_options());
    Var x = probes_.leaf(tape, kShape);
    {
      const RngTracker::Fork fork = rank_.checkpointer.rng().fork(state);
      x = of_a_constant ? probes_.sum(tape, nn::dropout(tape, tape.leaf(x.data()), 0.5F), x)
                        : nn::dropout(tape, std::move(x), 0.5F);
    }
    x = probes_.probe(tape, std::move(x));
    const auto body = [&](Var a) { return probes_.probe(tape, probes_.probe(tape, std::move(a), 1), 2); };
    x = rank_.checkpointer.is_configured() ? rank_.checkpointer.checkpoint(tape, body, std::move(x))
                                           : body(std::move(x));
    is_partitioned_ = rank_.checkpointer.is_configured() && rank_.checkpointer.store_stats().partitioned > 0;
    tape.backward(probes_.loss(tape, std::move(x)));
    return probes_.take_gradient();
  }
  // Whether the region's input was, of the last gradient.
  bool is_partitioned() const { return is_partitioned_; }

 private:
  Rank& rank_;
  Probes probes_;
  bool is_partitioned_ = false;
};

// The gradient that the rank gets with everything kept, and the one that it gets where all that can be is partitioned.
void expect_same(Rank& rank, std::string_view state, bool of_a_constant, bool partitioned) {
  Rank plain(parallel::make_topology(*parallel::open_planned(rank.rank, 3), 3));
  Case made(rank);
  const std::vector<float> gradient = made.gradient(state, of_a_constant);
  EXPECT_EQ(gradient, Case(plain).gradient(state, of_a_constant)) << state;
  EXPECT_EQ(made.is_partitioned(), partitioned) << state;
}

TEST(Placement, WhatARankDrewForItselfIsNeverPartitioned) {
  for (const int ranks : {2, 3}) {
    on_ranks(ranks, [](Rank& rank) {
      rank.checkpointer.configure({.partition_activations = true});
      for (const bool of_a_constant : {false, true}) {
        expect_same(rank, kModelParallelRng, of_a_constant, false);
        expect_same(rank, "own", of_a_constant, false);
        expect_same(rank, kDefaultRng, of_a_constant, true);
        expect_same(rank, kDataParallelRng, of_a_constant, true);
        expect_same(rank, "shared", of_a_constant, true);
      }
    });
  }
}

// Whose states they are is not part of what is saved: those that are there keep it, others may be anybody's.
TEST(Placement, StatesThatAreSetKeepWhatTheyWere) {
  on_ranks(2, [](Rank& rank) {
    rank.checkpointer.configure({.partition_activations = true});
    RngTracker& rng = rank.checkpointer.rng();
    Case made(rank);
    const auto partitions = [&made](std::string_view state) {
      (void)made.gradient(state);
      return made.is_partitioned();
    };
    RngTracker::States states = rng.get_states();
    states.emplace("new", nn::RngState{300 + static_cast<std::uint64_t>(rank.rank), 0});
    rng.set_states(states);
    EXPECT_FALSE(partitions(kModelParallelRng));
    EXPECT_FALSE(partitions("own"));
    EXPECT_FALSE(partitions("new"));
    EXPECT_TRUE(partitions(kDataParallelRng));
    EXPECT_TRUE(partitions("shared"));
    EXPECT_TRUE(partitions(kDefaultRng));
  });
}

TEST(Placement, AConstantOfOneRankMakesShards) {
  on_ranks(2, [](Rank& rank) {
    rank.checkpointer.configure({.partition_activations = true});
    for (const Placement placement : {Placement::replicated, Placement::shard}) {
      Probes probes(rank);
      Tape tape(rank.context, rank.checkpointer.tape_options());
      const Var x = probes.leaf(tape, kShape);
      const Var constant = tape.leaf(x.data(), nullptr, "mask", placement);
      // What no gradient is wanted of remembers it too.
      Var y = probes.sum(tape, x, probes.probe(tape, constant));
      y = rank.checkpointer.checkpoint(
          tape, [&](Var a) { return probes.probe(tape, std::move(a), 1); }, std::move(y));
      EXPECT_EQ(rank.checkpointer.store_stats().partitioned > 0, placement == Placement::replicated);
      tape.backward(probes.loss(tape, std::move(y)));
    }
  });
}

// One rank has nobody to differ from.
TEST(Placement, OneRankIsNotToldOfShards) {
  Rank rank;
  rank.checkpointer.configure({.partition_activations = true});
  (void)Case(rank).gradient(kModelParallelRng);
  EXPECT_TRUE(rank.warnings.empty());
}

}  // namespace
}  // namespace retape::checkpointing
