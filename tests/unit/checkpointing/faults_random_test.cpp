// Random states and dropout masks: faults 9 and 17.
#include <gtest/gtest.h>

#include "parallel/comm/thread/ranks.h"
#include "tests/unit/checkpointing/rank.h"
#include "tests/unit/checkpointing/tiny_model.h"

namespace retape::checkpointing {
namespace {

using nn::RngState;

// Fault 9: seeding without a topology fails on one rank while the others go on.
TEST(Faults, F09_OneRankWithoutATopologyIsSeeded) {
  nn::Device device({.threads = 1});
  nn::Context context(device);
  Checkpointer checkpointer(context);
  checkpointer.model_parallel_seed(1234);
  EXPECT_EQ(checkpointer.rng().get_states(), (RngTracker::States{{"default", RngState{1234, 0}},
                                                                 {"model-parallel-rng", RngState{1234 + 2718, 0}},
                                                                 {"data-parallel-rng", RngState{1234, 0}}}));
}

TEST(Faults, F09_EveryRankIsSeededByItsPlace) {
  on_ranks(3, [](Rank& rank) {
    Checkpointer& checkpointer = rank.checkpointer;
    (void)checkpointer.rng().fork("default");
    checkpointer.rng().add("own", 1234 + 2718);  // forgotten by the seeding
    rank.context.default_generator().draw(100);
    checkpointer.model_parallel_seed(1234);
    const auto place = static_cast<std::uint64_t>(rank.rank);
    EXPECT_EQ(checkpointer.rng().get_states(),
              (RngTracker::States{{"default", RngState{1234, 0}},
                                  {"model-parallel-rng", RngState{1234 + 2718 + place, 0}},
                                  {"data-parallel-rng", RngState{1234, 0}}}));
  });
}

// Ranks of one replica draw the same from the default state, and ranks of two replicas the same from each of theirs.
TEST(Faults, F09_ReplicasAreSeededAlike) {
  parallel::run_ranks(4, [](parallel::Communicator& world) {
    Rank rank(parallel::make_topology(world, 2));
    rank.checkpointer.model_parallel_seed(5);
    const auto tensor_rank = static_cast<std::uint64_t>(world.rank() % 2);
    EXPECT_EQ(rank.checkpointer.rng().get_states().at(std::string(kModelParallelRng)),
              (RngState{5 + 2718 + tensor_rank, 0}));
  });
}

std::vector<Policy> policies() {
  return {none(),     full(),    full(2), selective({"attention", "layer_norm"}), selective({"middle", "gelu"}),
          uniform(3), nested(2), block(2)};
}

// Fault 17: the masks of forward and of recompute differ.
TEST(Faults, F17_DropoutDrawsTheSameMasksInForwardAndInARebuild) {
  for (const nn::DType dtype : {nn::DType::f32, nn::DType::bf16}) {
    for (const std::string_view attention_rng : {kDefaultRng, kDataParallelRng}) {
      const TinyModelOptions options{.dropout = 0.3F, .dtype = dtype, .attention_rng = attention_rng};
      const StepBits kept = kept_bits(options);
      with_every_store([&](Rank& rank) {
        TinyModel model(rank.device, options);
        for (const Policy& policy : policies()) {
          rank.checkpointer.set_policy(policy);
          for (const Form form : {Form::regions, Form::calls}) {
            EXPECT_EQ(step(rank, model, form), kept) << policy.describe();
          }
        }
      });
    }
  }
}

TEST(Faults, F17_SoDoesAStateOfOneRankOnly) {
  const TinyModelOptions options{.dropout = 0.3F, .attention_rng = kModelParallelRng};
  const StepBits kept = kept_bits(options);
  for (const Policy& policy : policies()) {
    Rank rank;
    rank.checkpointer.configure({.cpu_checkpointing = true});
    rank.checkpointer.set_policy(policy);
    TinyModel model(rank.device, options);
    EXPECT_EQ(step(rank, model, Form::regions), kept) << policy.describe();
    EXPECT_EQ(step(rank, model, Form::calls), kept) << policy.describe();
  }
}

// What the tests above compare does depend on the masks, and every state moves on as it does with everything kept.
TEST(Faults, F17_MasksDependOnTheirStateAndBackwardMovesNone) {
  const TinyModelOptions plain{.dropout = 0.3F};
  const TinyModelOptions forked{.dropout = 0.3F, .attention_rng = kModelParallelRng};
  EXPECT_NE(kept_bits(plain).loss, kept_bits(forked).loss);
  EXPECT_NE(kept_bits(plain).loss, kept_bits({.dropout = 0}).loss);
  const auto states_after = [&](const Policy& policy) {
    Rank rank;
    rank.checkpointer.configure();
    rank.checkpointer.set_policy(policy);
    TinyModel model(rank.device, forked);
    (void)step(rank, model);
    return rank.checkpointer.rng().get_states();
  };
  const RngTracker::States kept = states_after(none());
  EXPECT_GT(kept.at("default").offset, 0U);
  EXPECT_GT(kept.at("model-parallel-rng").offset, 0U);
  EXPECT_EQ(kept.at("data-parallel-rng").offset, 0U);
  for (const Policy& policy : policies()) {
    EXPECT_EQ(states_after(policy), kept) << policy.describe();
  }
}

}  // namespace
}  // namespace retape::checkpointing
