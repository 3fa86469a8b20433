// Settings that do nothing, and work that nobody needs: faults 14 and 18.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>

#include "nn/base/error.h"
#include "tests/unit/checkpointing/probe.h"
#include "tests/unit/checkpointing/rank.h"
#include "tests/unit/checkpointing/tiny_model.h"

namespace retape::checkpointing {
namespace {

using nn::Tape;
using nn::Var;
using ::testing::ThrowsMessage;

// Fault 14: settings are accepted and do nothing, since the model never checkpoints.
class NoEffect : public ::testing::Test {
 protected:
  // The residuals of a step of the model, or of one without any region.
  std::vector<nn::Residual> residuals(Form form = Form::regions) {
    Tape tape(rank_.context, rank_.checkpointer.tape_options());
    const Var loss = model_.forward(tape, rank_.checkpointer, form);
    return tape.residuals();
  }
  std::vector<nn::Residual> residuals_without_regions() {
    Probes probes(rank_);
    Tape tape(rank_.context, rank_.checkpointer.tape_options());
    const Var y = probes.probe(tape, probes.probe(tape, probes.leaf(tape, {4})));
    return tape.residuals();
  }

  Rank rank_;
  Checkpointer& checkpointer_ = rank_.checkpointer;
  TinyModel model_{rank_.device};
};

TEST_F(NoEffect, F14_APolicyThatLetsNothingGoIsAnError) {
  checkpointer_.configure();
  for (const Policy& policy : {full(), block(1), uniform(2)}) {
    checkpointer_.set_policy(policy);
    EXPECT_THAT([&] { checkpointer_.require_effect(residuals_without_regions()); },
                ThrowsMessage<ConfigError>("[checkpointing] policy " + policy.describe() +
                                           ": expected a model with values that it lets go, got none"));
    EXPECT_NO_THROW(checkpointer_.require_effect(residuals()));
  }
}

TEST_F(NoEffect, F14_AStoreThatHoldsNothingIsAnError) {
  for (const auto& [settings, name] : {std::pair(Overrides{.partition_activations = true}, "partition_activations"),
                                       std::pair(Overrides{.contiguous_memory_optimization = true, .slab_bytes = 1_MiB},
                                                 "contiguous_memory_optimization"),
                                       std::pair(Overrides{.cpu_checkpointing = true}, "cpu_checkpointing")}) {
    checkpointer_.configure(settings);
    EXPECT_THAT([&] { checkpointer_.require_effect(residuals()); },
                ThrowsMessage<ConfigError>(std::string("[checkpointing] ") + name +
                                           ": expected regions whose inputs are checkpoints, got none"));
    EXPECT_NO_THROW(checkpointer_.require_effect(residuals(Form::calls)));
    checkpointer_.set_policy(full());
    EXPECT_NO_THROW(checkpointer_.require_effect(residuals()));
    checkpointer_.set_policy(none());
  }
}

TEST_F(NoEffect, F14_ANameThatMatchesNothingIsAnError) {
  checkpointer_.configure();
  checkpointer_.set_policy(selective({"layer_norm", "rotary"}));
  EXPECT_THAT(
      [&] { checkpointer_.require_effect(residuals()); },
      ThrowsMessage<ConfigError>(
          "[checkpointing] recompute: expected names of ops or values of the model (attention, block, dropout, "
          "embed, gelu, layer_norm, linear, linear_gelu, ln1, ln2, lse, mean, middle, pre_gelu, qkv, rstd), got "
          "rotary"));
  checkpointer_.set_policy(selective({"layer_norm"}));
  EXPECT_NO_THROW(checkpointer_.require_effect(residuals()));
  checkpointer_.set_policy(none());
  EXPECT_NO_THROW(checkpointer_.require_effect(residuals()));
}

TEST_F(NoEffect, F14_ANameOfAValueThatIsKeptAllTheSameIsAnError) {
  checkpointer_.configure();
  checkpointer_.set_policy(selective({"gelu", "head_dx"}));
  std::vector<nn::Residual> recorded = residuals();
  recorded.push_back({.name = "head_dx", .op = "cross_entropy_head", .what = nn::Retain::keep});
  EXPECT_THAT([&] { checkpointer_.require_effect(recorded); },
              ThrowsMessage<ConfigError>("[checkpointing] recompute: expected names of values that can be let go, got "
                                         "head_dx, which is kept"));
  recorded.back().what = nn::Retain::recompute;
  EXPECT_NO_THROW(checkpointer_.require_effect(recorded));
}

// Counts ops by region and name.
class OpCounter final : public nn::TapeObserver {
 public:
  using Key = std::pair<std::string, std::string>;
  void on_event(const nn::TapeEvent& event) override {
    const Key key(event.region->name, event.op);
    switch (event.work) {
      case nn::TapeEvent::Work::forward: ++forward[key]; return;
      case nn::TapeEvent::Work::rebuild: ++rebuilt[key]; return;
      default: return;
    }
  }
  std::map<Key, int> forward;
  std::map<Key, int> rebuilt;
};

// Fault 18: the last linear of a region, whose output no backward reads, runs again; so does its residual.
TEST(Faults, F18_WhatNoBackwardReadsIsNotRunAgain) {
  for (const Form form : {Form::regions, Form::calls}) {
    Rank rank;
    rank.checkpointer.configure();
    rank.checkpointer.set_policy(form == Form::regions ? full() : none());
    TinyModel model(rank.device);
    OpCounter counter;
    nn::TapeOptions options = rank.checkpointer.tape_options();
    options.observer = &counter;
    Tape tape(rank.context, options);
    tape.backward(model.forward(tape, rank.checkpointer, form));
    std::map<OpCounter::Key, int> forward{{{"", "linear"}, 1}, {{"", "weighted_sum"}, 1}};
    std::map<OpCounter::Key, int> rebuilt;
    for (int layer = 0; layer < 4; ++layer) {
      const std::string region = (form == Form::regions ? "h." : "checkpoint.") + std::to_string(layer);
      for (const std::string op : {"layer_norm", "dropout"}) {
        forward[{region, op}] = 2;
      }
      for (const std::string op : {"attention", "linear_gelu"}) {
        forward[{region, op}] = 1;
      }
      forward[{region, "linear"}] = 3;
      rebuilt[{region, "layer_norm"}] = 2;
      rebuilt[{region, "attention"}] = 1;
      rebuilt[{region, "linear_gelu"}] = 1;
      rebuilt[{region, "linear"}] = 2;   // not the last
      rebuilt[{region, "dropout"}] = 1;  // not the last residual
    }
    EXPECT_EQ(counter.forward, forward);
    EXPECT_EQ(counter.rebuilt, rebuilt);
  }
}

// The last op of a group of regions, or of a checkpoint() around others, is not run again either.
TEST(Faults, F18_NorIsTheLastOfAGroup) {
  for (const Policy& policy : {uniform(2), nested(2), full(2)}) {
    Rank rank;
    rank.checkpointer.configure();
    rank.checkpointer.set_policy(policy);
    Probes probes(rank);
    Tape tape(rank.context, rank.checkpointer.tape_options());
    Var x = probes.probe(tape, probes.leaf(tape, {4}), 100);
    for (int layer = 0; layer < 4; ++layer) {
      const nn::RegionScope region = tape.region("h");
      x = probes.probe(tape, std::move(x), 2 * layer);
      x = probes.probe(tape, std::move(x), 2 * layer + 1);
    }
    tape.backward(probes.loss(tape, std::move(x)));
    EXPECT_EQ(probes.log.runs(7), 1) << policy.describe();
    EXPECT_EQ(probes.log.runs(3), 1) << policy.describe();
    EXPECT_EQ(probes.log.runs(100), 1) << policy.describe();
  }
}

}  // namespace
}  // namespace retape::checkpointing
