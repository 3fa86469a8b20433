// Settings that change and steps that fail half way, backward again, nested checkpoints: faults 5 to 8.
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "nn/base/error.h"
#include "tests/unit/checkpointing/probe.h"
#include "tests/unit/checkpointing/rank.h"
#include "tests/unit/checkpointing/tiny_model.h"

namespace retape::checkpointing {
namespace {

using nn::Tape;
using nn::Var;

Overrides with_boundaries(Overrides store, bool synchronize, bool profile) {
  store.synchronize_checkpoint_boundary = synchronize;
  store.profile = profile;
  return store;
}

// Fault 5: settings are read in backward.
TEST(Faults, F05_ConfigureBetweenForwardAndBackwardKeepsTheBits) {
  const StepBits kept = kept_bits();
  for (const Form form : {Form::regions, Form::calls}) {
    on_ranks(2, [&](Rank& rank) {
      Checkpointer& checkpointer = rank.checkpointer;
      TinyModel model(rank.device);
      const std::vector<Overrides> stores = all_stores();
      for (std::size_t i = 0; i < 4 * stores.size(); ++i) {
        const bool synchronize = i / stores.size() % 2 == 1;
        const bool profile = i / stores.size() / 2 == 1;
        checkpointer.set_policy(full());
        checkpointer.configure(with_boundaries(stores[i % stores.size()], synchronize, profile));
        (void)checkpointer.take_profile();
        rank.seed();
        {
          Tape tape(rank.context, checkpointer.tape_options());
          Var loss = model.forward(tape, checkpointer, form);
          checkpointer.configure(with_boundaries(stores[(3 * i + 5) % stores.size()], !synchronize, !profile));
          checkpointer.set_policy(i % 2 == 0 ? none() : selective({"layer_norm"}));
          tape.backward(std::move(loss));
        }
        EXPECT_EQ(model.take_gradients(), kept.gradients) << i;
        EXPECT_EQ(rank.activation_bytes(), checkpointer.store_stats().slab_bytes) << i;
        // A step is profiled whole or not at all.
        const RegionTimes times = checkpointer.take_profile().total();
        EXPECT_EQ(times.forward.count() > 0, profile) << i;
        EXPECT_EQ(times.backward.count() > 0, profile) << i;
        EXPECT_EQ(step(rank, model, form), kept) << i;
      }
    });
  }
}

TEST(Faults, F05_ConfigureBetweenTwoBlocksKeepsTheBits) {
  const StepBits kept = kept_bits();
  on_ranks(2, [&](Rank& rank) {
    Checkpointer& checkpointer = rank.checkpointer;
    TinyModel model(rank.device);
    const std::vector<Overrides> stores = all_stores();
    const std::vector<Policy> policies{full(), none(), selective({"gelu", "attention"}), block(3)};
    checkpointer.configure(with_boundaries(stores[7], true, true));
    rank.seed();
    Tape tape(rank.context, checkpointer.tape_options());
    Var x = model.embed(tape);
    for (int layer = 0; layer < 4; ++layer) {
      checkpointer.configure(with_boundaries(stores[static_cast<std::size_t>(7 - layer)], layer > 1, layer % 2 == 1));
      checkpointer.set_policy(policies[static_cast<std::size_t>(layer)]);
      const nn::RegionScope region = tape.region("h");
      x = model.block(tape, std::move(x), layer, checkpointer);
    }
    tape.backward(model.loss(tape, std::move(x)));
    EXPECT_EQ(model.take_gradients(), kept.gradients);
  });
}

// Fault 6: an exception while something is recomputed leaves the random states wrong.
struct Failing {
  int in_run;
  int in_backward;
};

// One step with two blocks of four probes around dropout, and a failure in it.
void fail_a_step(Rank& rank, Probes& probes, TinyModel& model, const Failing& failing) {
  Checkpointer& checkpointer = rank.checkpointer;
  Tape tape(rank.context, checkpointer.tape_options());
  probes.log = {.fail_in_run = failing.in_run, .fail_in_backward = failing.in_backward};
  Var x = model.embed(tape);
  for (int layer = 0; layer < 2; ++layer) {
    x = checkpointer.checkpoint(
        tape,
        [&](Var a) {
          a = probes.probe(tape, std::move(a), 2 * layer);
          a = model.block(tape, std::move(a), layer, checkpointer);
          return probes.probe(tape, std::move(a), 2 * layer + 1);
        },
        std::move(x));
  }
  Var loss = model.loss(tape, std::move(x));
  const RngTracker::States before = checkpointer.rng().get_states();
  EXPECT_THROW(tape.backward(std::move(loss)), std::runtime_error);
  EXPECT_EQ(checkpointer.rng().get_states(), before);
  try {
    tape.leaf(nn::Tensor());
    ADD_FAILURE() << "expected a tape that has ended";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "[tape] leaf: expected a tape that records, got one that has ended");
  }
  model.discard_gradients();
}

TEST(Faults, F06_AFailureInARebuildOrInBackwardLeavesNothingBehind) {
  const StepBits kept = kept_bits({.attention_rng = kDataParallelRng});
  with_every_store([&](Rank& rank) {
    Checkpointer& checkpointer = rank.checkpointer;
    TinyModel model(rank.device, {.attention_rng = kDataParallelRng});
    Probes probes(rank);
    // Runs 1 to 4 are forward's; a rebuild runs the first probe of each block again.
    for (const Failing& failing : {Failing{.in_run = 5}, Failing{.in_run = 6}, Failing{.in_backward = 1},
                                   Failing{.in_backward = 2}, Failing{.in_backward = 4}}) {
      checkpointer.model_parallel_seed(11);
      const Bytes parameters = rank.memory().live - rank.activation_bytes();
      fail_a_step(rank, probes, model, failing);
      const StoreStats stats = checkpointer.store_stats();
      const bool on_host = checkpointer.settings().cpu_checkpointing;
      EXPECT_EQ(rank.memory().live, parameters + (on_host ? 0 : stats.slab_bytes));
      EXPECT_EQ(stats.host_live, on_host ? stats.slab_bytes : 0);
      EXPECT_EQ(stats.slab_live, 0);
      EXPECT_EQ(stats.partitioned, 0);
      checkpointer.set_policy(full());
      for (const Form form : {Form::regions, Form::calls}) {
        EXPECT_EQ(step(rank, model, form), kept);
      }
    }
  });
}

TEST(Faults, F06_AFailureInForwardLeavesTheTapeOutsideTheCheckpoint) {
  with_every_store([](Rank& rank) {
    Checkpointer& checkpointer = rank.checkpointer;
    checkpointer.model_parallel_seed(11);
    Probes probes(rank);
    Tape tape(rank.context, checkpointer.tape_options());
    const Var x = probes.probe(tape, probes.leaf(tape, {7}));
    const auto fails = [&](const Var& a) -> Var {
      const RngTracker::Fork fork = checkpointer.rng().fork();
      const Var b = probes.probe(tape, a, 1);
      throw std::runtime_error("the model");
    };
    const RngTracker::States before = checkpointer.rng().get_states();
    EXPECT_THROW(checkpointer.checkpoint(tape, fails, x), std::runtime_error);
    EXPECT_EQ(checkpointer.rng().get_states(), before);
    EXPECT_EQ(&rank.context.generator(), &rank.context.default_generator());
    EXPECT_EQ(tape.depth(), 0);
    tape.backward(probes.loss(tape, probes.probe(tape, x, 2)));

    Rank plain;
    Probes others(plain);
    Tape kept(plain.context);
    kept.backward(others.loss(kept, others.probe(kept, others.probe(kept, others.leaf(kept, {7})))));
    EXPECT_EQ(probes.take_gradient(), others.take_gradient());
  });
}

// Fault 7: a second backward is impossible.
TEST(Faults, F07_ASecondBackwardDoublesTheGradientsExactly) {
  Rank plain;
  TinyModel kept(plain.device);
  plain.seed();
  {
    Tape tape(plain.context);
    tape.backward(kept.forward(tape, plain.checkpointer, Form::regions));
  }
  std::vector<float> doubled = kept.gradient_values();
  for (float& value : doubled) {
    value *= 2;
  }
  with_every_store([&](Rank& rank) {
    TinyModel model(rank.device);
    for (const Policy& policy : {none(), full(), full(2), selective({"layer_norm", "gelu"}), uniform(3), nested(2)}) {
      for (const Form form : {Form::regions, Form::calls}) {
        rank.checkpointer.set_policy(policy);
        rank.seed();
        Tape tape(rank.context, rank.checkpointer.tape_options());
        const Var loss = model.forward(tape, rank.checkpointer, form);
        tape.backward(loss, {.retain = true});
        tape.backward(loss);
        EXPECT_EQ(model.gradient_values(), doubled) << policy.describe();
        model.discard_gradients();
      }
    }
  });
}

// Fault 8: nested checkpoints with the profile on end in "timer already started".
TEST(Faults, F08_NestedCheckpointsAreProfiledOnce) {
  Rank rank;
  Checkpointer& checkpointer = rank.checkpointer;
  checkpointer.configure({.profile = true});
  Probes probes(rank);
  const auto start = std::chrono::steady_clock::now();
  {
    Tape tape(rank.context, checkpointer.tape_options());
    const auto inner = [&](Var a, int id) {
      for (int i = 0; i < 4; ++i) {
        a = probes.probe(tape, std::move(a), id);
      }
      return a;
    };
    const auto outer = [&](Var a) {
      a = checkpointer.checkpoint(tape, inner, std::move(a), 1);
      return checkpointer.checkpoint(tape, inner, std::move(a), 2);
    };
    Var x = probes.probe(tape, probes.leaf(tape, {1 << 16}));
    tape.backward(probes.loss(tape, checkpointer.checkpoint(tape, outer, std::move(x))));
  }
  const auto elapsed = std::chrono::steady_clock::now() - start;
  const Profile profile = checkpointer.take_profile();
  std::vector<std::string> names;
  for (const RegionTimes& times : profile.regions()) {
    names.push_back(times.region);
    if (!times.region.empty()) {
      EXPECT_GT(times.forward.count(), 0) << times.region;
      EXPECT_GT(times.recompute.count(), 0) << times.region;
      EXPECT_GT(times.backward.count(), 0) << times.region;
    }
  }
  // The outer region runs no op of its own, so that no time is booked there a second time.
  EXPECT_EQ(names, (std::vector<std::string>{"", "checkpoint.1", "checkpoint.2"}));
  const RegionTimes total = profile.total();
  EXPECT_LE(total.forward + total.recompute + total.wait + total.backward, elapsed);
}

// What is in a merged group is booked there, forward, rebuild and backward alike; the members of another have times of
// their own.
TEST(Faults, F08_GroupsOfRegionsAreProfiledOnce) {
  using Names = std::vector<std::string>;
  for (const auto& [policy, names] :
       {std::pair(uniform(2), Names{"", "group.0", "group.1"}), std::pair(uniform(3), Names{"", "group.0", "group.1"}),
        std::pair(nested(2), Names{"", "h.0", "h.1", "h.2", "h.3"})}) {
    for (const bool host : {false, true}) {
      Rank rank;
      rank.checkpointer.set_policy(policy);
      rank.checkpointer.configure({.cpu_checkpointing = host, .profile = true});
      TinyModel model(rank.device);
      (void)step(rank, model);
      const Profile profile = rank.checkpointer.take_profile();
      Names found;
      for (const RegionTimes& times : profile.regions()) {
        found.push_back(times.region);
        if (!times.region.empty()) {
          EXPECT_GT(times.forward.count(), 0) << times.region;
          EXPECT_GT(times.recompute.count(), 0) << times.region;
          EXPECT_GT(times.backward.count(), 0) << times.region;
          if (policy.grouping.merged) {
            EXPECT_EQ(times.copy.count() > 0, host) << times.region;
          }
        }
      }
      EXPECT_EQ(found, names) << policy.describe();
    }
  }
}

}  // namespace
}  // namespace retape::checkpointing
