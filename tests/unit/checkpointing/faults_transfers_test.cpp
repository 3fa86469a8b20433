// Copies and collectives that run beside the computation: faults 11, 15 and 19.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "tests/unit/checkpointing/probe.h"
#include "tests/unit/checkpointing/rank.h"
#include "tests/unit/checkpointing/tiny_model.h"

namespace retape::checkpointing {
namespace {

using nn::DType;
using nn::Tape;
using nn::Tensor;
using nn::Var;

// What is there of rebuilt and fetched values whenever backward brings a checkpoint back.
class FetchWatcher final : public nn::TapeObserver {
 public:
  explicit FetchWatcher(Rank& rank) : rank_(rank) {}
  void on_event(const nn::TapeEvent& event) override {
    if (event.work == nn::TapeEvent::Work::fetch) {
      fetches.push_back(event.region->name);
      there.push_back(rank_.memory().live_by_tag[static_cast<std::size_t>(nn::Tag::recompute)]);
    }
  }
  std::vector<std::string> fetches;
  std::vector<Bytes> there;

 private:
  Rank& rank_;
};

// Fault 11: copies block, and nothing is fetched ahead. When a region's input is there, that of the next one to be
// differentiated has been asked for: its memory is taken and its transfer under way.
TEST(Faults, F11_TheNextRegionsInputIsOnItsWayWhileOneIsDifferentiated) {
  for (const Overrides& store : {Overrides{.cpu_checkpointing = true}, Overrides{.partition_activations = true},
                                 Overrides{.partition_activations = true, .cpu_checkpointing = true}}) {
    on_ranks(2, [&](Rank& rank) {
      rank.checkpointer.configure(store);
      rank.checkpointer.set_policy(full());
      TinyModel model(rank.device);
      FetchWatcher watcher(rank);
      nn::TapeOptions options = rank.checkpointer.tape_options();
      options.observer = &watcher;
      Tape tape(rank.context, options);
      tape.backward(model.forward(tape, rank.checkpointer, Form::regions));
      EXPECT_EQ(watcher.fetches, (std::vector<std::string>{"h.3", "h.2", "h.1", "h.0"}));
      const Bytes one = TinyModel::kInputBytes;
      EXPECT_EQ(watcher.there, (std::vector<Bytes>{2 * one, 2 * one, 2 * one, one}));
    });
  }
}

TEST(Faults, F11_EveryRegionsTransfersAreInTheLog) {
  on_ranks(2, [](Rank& rank) {
    rank.checkpointer.configure({.partition_activations = true, .cpu_checkpointing = true, .profile = true});
    rank.checkpointer.set_policy(full());
    TinyModel model(rank.device);
    (void)step(rank, model);
    const Profile profile = rank.checkpointer.take_profile();
    for (const std::string region : {"h.0", "h.1", "h.2", "h.3"}) {
      const auto times = std::find_if(profile.regions().begin(), profile.regions().end(),
                                      [&](const RegionTimes& candidate) { return candidate.region == region; });
      ASSERT_NE(times, profile.regions().end());
      EXPECT_GT(times->gather.count(), 0) << region;
      EXPECT_GT(times->copy.count(), 0) << region;
      EXPECT_GT(times->wait.count(), 0) << region;
    }
    EXPECT_EQ(rank.checkpointer.take_offloaded_bytes(),
              4 * TinyModel::kBatch * TinyModel::kSeqLen * TinyModel::kDim * 2);
    EXPECT_EQ(rank.checkpointer.take_offloaded_bytes(), 0);
  });
}

// Takes the memory that was let go, and leaves nonsense in it.
void scribble(Rank& rank, const nn::Shape& shape) {
  std::vector<Tensor> taken;
  for (int i = 0; i < 4; ++i) {
    taken.emplace_back(rank.device, shape, DType::f32, nn::Tag::workspace);
    std::fill_n(taken.back().data_as<float>(), taken.back().elems(), std::nanf(""));
  }
}

// Fault 15: a buffer is used again before its copy has ended, and the gradients are silently wrong.
TEST(Faults, F15_WhatIsReusedRightAfterForwardHasBeenCopied) {
  const nn::Shape shape{256, 257};
  const auto forward = [&](Rank& rank, Tape& tape, Probes& probes) {
    Var x = probes.probe(tape, probes.leaf(tape, shape), 0);
    for (int id = 1; id <= 3; ++id) {
      x = rank.checkpointer.checkpoint(
          tape,
          [&](Var a) {
            a = probes.probe(tape, std::move(a), id);
            scribble(rank, shape);
            return probes.probe(tape, std::move(a), 10 + id);
          },
          std::move(x));
      scribble(rank, shape);
    }
    return probes.loss(tape, std::move(x));
  };
  const std::vector<float> kept = [&] {
    Rank rank;
    rank.checkpointer.configure();
    Probes probes(rank);
    Tape tape(rank.context);
    Var x = probes.probe(tape, probes.leaf(tape, shape));
    for (int i = 0; i < 6; ++i) {
      x = probes.probe(tape, std::move(x));
    }
    tape.backward(probes.loss(tape, std::move(x)));
    return probes.take_gradient();
  }();
  with_every_store([&](Rank& rank) {
    rank.checkpointer.configure(
        {.partition_activations = rank.checkpointer.settings().partition_activations,
         .contiguous_memory_optimization = rank.checkpointer.settings().contiguous_memory_optimization,
         .cpu_checkpointing = rank.checkpointer.settings().cpu_checkpointing,
         .number_checkpoints = 3});
    Probes probes(rank);
    for (int round = 0; round < 10; ++round) {
      {
        // Goes with its copies under way.
        Tape abandoned(rank.context, rank.checkpointer.tape_options());
        (void)forward(rank, abandoned, probes);
      }
      scribble(rank, shape);
      Tape tape(rank.context, rank.checkpointer.tape_options());
      Var loss = forward(rank, tape, probes);
      scribble(rank, shape);
      tape.backward(std::move(loss));
      ASSERT_EQ(probes.take_gradient(), kept) << round;
    }
  });
}

// Fault 19: a part is divided again as if every rank had the whole.
TEST(Faults, F19_APartIsNeverPartitionedAgain) {
  const nn::Shape shape{6, 5};
  const auto gradient_of = [&](Rank& rank, std::uint64_t seed, bool checkpointed) {
    Probes probes(rank);
    Tape tape(rank.context, rank.checkpointer.tape_options());
    Var x = probes.probe(tape, probes.leaf(tape, shape, nn::Placement::shard, seed));
    const auto f = [&](Var a) { return probes.probe(tape, probes.probe(tape, std::move(a), 1), 2); };
    Var y = checkpointed ? rank.checkpointer.checkpoint(tape, f, std::move(x)) : f(std::move(x));
    if (checkpointed) {
      // Whole, where the other settings want it.
      const Settings& settings = rank.checkpointer.settings();
      const bool contiguous = settings.contiguous_memory_optimization;
      const std::vector<nn::Residual> residuals = tape.residuals();
      EXPECT_EQ(residuals.at(0).place, settings.cpu_checkpointing ? "offloaded" : contiguous ? "contiguous" : "");
      EXPECT_EQ(rank.checkpointer.store_stats().partitioned, 0);
    }
    tape.backward(probes.loss(tape, std::move(y)));
    return probes.take_gradient();
  };
  for (const Overrides& store : all_stores()) {
    if (!store.partition_activations.value()) {
      continue;
    }
    on_ranks(2, [&](Rank& rank) {
      const auto seed = std::uint64_t{10} + static_cast<std::uint64_t>(rank.rank);
      rank.checkpointer.configure(store);
      Rank plain;
      EXPECT_EQ(gradient_of(rank, seed, true), gradient_of(plain, seed, false));
    });
  }
}

TEST(Faults, F19_NorIsThatOfANamedRegion) {
  on_ranks(2, [](Rank& rank) {
    rank.checkpointer.configure({.partition_activations = true});
    rank.checkpointer.set_policy(full());
    Probes probes(rank);
    Tape tape(rank.context, rank.checkpointer.tape_options());
    Var x = probes.probe(tape, probes.leaf(tape, {64}, nn::Placement::shard));
    {
      const nn::RegionScope region = tape.region("h.0");
      x = probes.probe(tape, probes.probe(tape, std::move(x), 1), 2);
    }
    const std::vector<nn::Residual> residuals = tape.residuals();
    ASSERT_EQ(residuals.size(), 2U);
    EXPECT_EQ(residuals[0].what, nn::Retain::keep);
    EXPECT_EQ(residuals[1].what, nn::Retain::recompute);
    EXPECT_EQ(rank.activation_bytes(), 2 * 256);  // the input, as a checkpoint, and x
    tape.backward(probes.loss(tape, std::move(x)));
    const std::string told =
        "[checkpointing] partition_activations: expected a replicated value, got probe, a shard; it is kept whole, as "
        "others will be";
    EXPECT_EQ(rank.warnings, std::vector<std::string>{told});
  });
}

TEST(Faults, F19_TheStoreItselfTakesAPartWhole) {
  on_ranks(2, [](Rank& rank) {
    CheckpointStore store(rank.device, parallel::Group(parallel::open_planned(rank.rank, 2)),
                          {.partition = true, .host = true}, nullptr);
    Tensor part(rank.device, {64}, DType::f32, nn::Tag::activations);
    part.fill_zero();
    const auto saved = store.save(std::move(part), {.name = "qkv", .placement = nn::Placement::shard});
    EXPECT_EQ(saved->place(), "offloaded");
    EXPECT_EQ(store.stats().partitioned, 0);
    EXPECT_EQ(saved->fetch().elems(), 64);
  });
}

}  // namespace
}  // namespace retape::checkpointing
