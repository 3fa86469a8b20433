#include "checkpointing/checkpointer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <tuple>

#include "nn/base/error.h"
#include "nn/ops/attention.h"
#include "tests/support/ranks.h"
#include "tests/unit/checkpointing/probe.h"
#include "tests/unit/checkpointing/rank.h"
#include "tests/unit/checkpointing/tiny_model.h"

namespace retape::checkpointing {
namespace {

using nn::RegionScope;
using nn::Retain;
using nn::Tape;
using nn::Var;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class CheckpointerTest : public ::testing::Test {
 protected:
  Var start(Tape& tape) { return probes_.probe(tape, probes_.leaf(tape, {64}), 0); }
  std::vector<float> gradient_of(Tape& tape, Var y) {
    tape.backward(probes_.loss(tape, std::move(y)));
    return probes_.take_gradient();
  }
  // Of a chain of probes with nothing let go.
  std::vector<float> chain_gradient(int probes) {
    Tape plain(rank_.context);
    Var x = start(plain);
    for (int i = 0; i < probes; ++i) {
      x = probes_.probe(plain, std::move(x), -1);
    }
    return gradient_of(plain, std::move(x));
  }

  Rank rank_;
  Checkpointer& checkpointer_ = rank_.checkpointer;
  Probes probes_{rank_};
};

// Returns what the function returns.

TEST_F(CheckpointerTest, ReturnsATupleInItsOrder) {
  checkpointer_.configure();
  Tape tape(rank_.context, checkpointer_.tape_options());
  auto [number, left, text, right] = checkpointer_.checkpoint(
      tape,
      [&](const Var& x, int n) {
        return std::tuple(n + 1, probes_.probe(tape, x, 1), std::string("text"), probes_.probe(tape, x, 2));
      },
      start(tape), 41);
  EXPECT_EQ(number, 42);
  EXPECT_EQ(text, "text");
  const std::vector<float> gradient = gradient_of(tape, Probes::sum(tape, std::move(left), std::move(right)));
  EXPECT_EQ(probes_.log.runs(0), 1);

  Tape plain(rank_.context);
  const Var x = start(plain);
  EXPECT_EQ(gradient, gradient_of(plain, Probes::sum(plain, probes_.probe(plain, x), probes_.probe(plain, x))));
}

TEST_F(CheckpointerTest, ReturnsNothing) {
  checkpointer_.configure();
  Tape tape(rank_.context, checkpointer_.tape_options());
  Var y;
  const auto into = [&](Var x, Var& result) { result = probes_.probe(tape, std::move(x), 1); };
  checkpointer_.checkpoint(tape, into, start(tape), y);
  EXPECT_EQ(tape.depth(), 0);
  EXPECT_EQ(gradient_of(tape, std::move(y)), chain_gradient(1));
}

TEST_F(CheckpointerTest, ReturnsWhatCannotBeCopiedOrIsAReference) {
  checkpointer_.configure();
  Tape tape(rank_.context, checkpointer_.tape_options());
  std::unique_ptr<Var> y = checkpointer_.checkpoint(
      tape, [&](Var x) { return std::make_unique<Var>(probes_.probe(tape, std::move(x), 1)); }, start(tape));
  Var& same = checkpointer_.checkpoint(
      tape, [](Var& x) -> Var& { return x; }, *y);
  EXPECT_EQ(&same, y.get());
  EXPECT_EQ(gradient_of(tape, std::move(*y)), chain_gradient(1));
}

TEST_F(CheckpointerTest, TakesMembersAndMoveOnlyArguments) {
  struct Layer {
    Probes& probes;
    Tape& tape;
    Var forward(Var x, std::unique_ptr<int> id) const { return probes.probe(tape, std::move(x), *id); }
  };
  checkpointer_.configure();
  Tape tape(rank_.context, checkpointer_.tape_options());
  const Layer layer{probes_, tape};
  Var y = checkpointer_.checkpoint(tape, &Layer::forward, layer, start(tape), std::make_unique<int>(5));
  EXPECT_EQ(probes_.log.runs(5), 1);
  EXPECT_EQ(gradient_of(tape, std::move(y)), chain_gradient(1));
}

// Keeps what it says.

TEST_F(CheckpointerTest, KeepsTheInputAloneAndLetsItGo) {
  checkpointer_.configure();
  Tape tape(rank_.context, checkpointer_.tape_options());
  Var y = checkpointer_.checkpoint(
      tape,
      [&](Var x) {
        for (int id = 1; id <= 5; ++id) {
          x = probes_.probe(tape, std::move(x), id);
        }
        return x;
      },
      start(tape));
  EXPECT_EQ(rank_.activation_bytes(), 2 * 256);
  EXPECT_EQ(rank_.memory().live_by_tag[static_cast<std::size_t>(nn::Tag::checkpoints)], 256);
  EXPECT_EQ(gradient_of(tape, std::move(y)), chain_gradient(5));
  EXPECT_EQ(rank_.activation_bytes(), 0);
  for (int id = 1; id <= 4; ++id) {
    EXPECT_EQ(probes_.log.runs(id), 2) << id;
  }
  EXPECT_EQ(probes_.log.runs(5), 1);
}

TEST_F(CheckpointerTest, ACheckpointInACheckpointKeepsTheOutermostInputAlone) {
  for (const Overrides& store : all_stores()) {
    checkpointer_.configure(store);
    probes_.log = {};
    Tape tape(rank_.context, checkpointer_.tape_options());
    const auto innermost = [&](Var x, int id) {
      return probes_.probe(tape, probes_.probe(tape, std::move(x), id), id + 1);
    };
    const auto inner = [&](Var x, int id) {
      x = checkpointer_.checkpoint(tape, innermost, std::move(x), id);
      return checkpointer_.checkpoint(tape, innermost, std::move(x), id + 2);
    };
    Var y = checkpointer_.checkpoint(
        tape,
        [&](Var x) {
          x = checkpointer_.checkpoint(tape, inner, std::move(x), 1);
          return checkpointer_.checkpoint(tape, inner, std::move(x), 5);
        },
        start(tape));
    int kept = 0;
    for (const nn::Residual& residual : tape.residuals()) {
      kept += residual.what == Retain::recompute ? 0 : 1;
    }
    EXPECT_EQ(kept, 1);
    EXPECT_EQ(gradient_of(tape, std::move(y)), chain_gradient(8));
    for (int id = 1; id <= 8; ++id) {
      EXPECT_LE(probes_.log.runs(id), 4) << id;  // once, and once for each level
    }
    EXPECT_EQ(probes_.log.runs(8), 1);
  }
}

TEST_F(CheckpointerTest, InARegionThatIsLetGoItKeepsNothingOfItsOwn) {
  checkpointer_.configure({.cpu_checkpointing = true});
  checkpointer_.set_policy(full());
  Tape tape(rank_.context, checkpointer_.tape_options());
  Var x = start(tape);
  {
    const RegionScope region = tape.region("h.0");
    x = probes_.probe(tape, std::move(x), 1);
    x = checkpointer_.checkpoint(
        tape, [&](Var a) { return probes_.probe(tape, probes_.probe(tape, std::move(a), 2), 3); }, std::move(x));
    x = probes_.probe(tape, std::move(x), 4);
  }
  std::vector<std::pair<std::string, Retain>> residuals;
  for (const nn::Residual& residual : tape.residuals()) {
    residuals.emplace_back(residual.region, residual.what);
  }
  EXPECT_EQ(residuals, (std::vector<std::pair<std::string, Retain>>{{"h.0", Retain::store},
                                                                    {"checkpoint.1", Retain::recompute},
                                                                    {"checkpoint.1", Retain::recompute},
                                                                    {"h.0", Retain::recompute}}));
  EXPECT_EQ(gradient_of(tape, std::move(x)), chain_gradient(4));
}

TEST_F(CheckpointerTest, InARegionThatIsKeptItKeepsItsInput) {
  checkpointer_.configure({.cpu_checkpointing = true});
  Tape tape(rank_.context, checkpointer_.tape_options());
  Var x = start(tape);
  {
    const RegionScope region = tape.region("h.0");
    x = probes_.probe(tape, std::move(x), 1);
    x = checkpointer_.checkpoint(
        tape, [&](Var a) { return probes_.probe(tape, probes_.probe(tape, std::move(a), 2), 3); }, std::move(x));
  }
  const std::vector<nn::Residual> residuals = tape.residuals();
  ASSERT_EQ(residuals.size(), 3U);
  EXPECT_EQ(residuals[0].what, Retain::keep);
  EXPECT_EQ(residuals[1].what, Retain::store);
  EXPECT_EQ(residuals[1].place, "offloaded");
  EXPECT_EQ(residuals[2].what, Retain::recompute);
  EXPECT_EQ(gradient_of(tape, std::move(x)), chain_gradient(3));
}

// The last op's backward reads its own output, which the caller then has.
TEST(Checkpointer, AnOutputThatItsOwnBackwardReadsMayBeReturned) {
  const auto gradient_of = [](Rank& rank, bool checkpointed) {
    Probes probes(rank);
    Tape tape(rank.context, rank.checkpointer.tape_options());
    Var x = probes.probe(tape, probes.leaf(tape, {1, 4, 24}));
    const auto f = [&](Var a) { return nn::attention(tape, probes.probe(tape, std::move(a)), 2, 0.2F); };
    Var y = checkpointed ? rank.checkpointer.checkpoint(tape, f, std::move(x)) : f(std::move(x));
    y = Probes::sum(tape, probes.probe(tape, y), y);
    tape.backward(probes.loss(tape, std::move(y)));
    return probes.take_gradient();
  };
  Rank plain;
  const std::vector<float> kept = gradient_of(plain, false);
  with_every_store([&](Rank& rank) { EXPECT_EQ(gradient_of(rank, true), kept); });
}

// Configuration.

TEST_F(CheckpointerTest, ArgumentsGoBeforeTheFileAndTheFileBeforeTheDefaults) {
  EXPECT_FALSE(checkpointer_.is_configured());
  checkpointer_.configure({.partition_activations = false, .number_checkpoints = 3},
                          {.partition_activations = true, .cpu_checkpointing = true, .number_checkpoints = 2});
  EXPECT_TRUE(checkpointer_.is_configured());
  EXPECT_FALSE(checkpointer_.settings().partition_activations);
  EXPECT_TRUE(checkpointer_.settings().cpu_checkpointing);
  EXPECT_EQ(checkpointer_.settings().number_checkpoints, 3);
  EXPECT_FALSE(checkpointer_.settings().profile);
  checkpointer_.configure({.profile = true});  // from the defaults again
  EXPECT_EQ(checkpointer_.settings().describe(), apply(Settings{}, {.profile = true}).describe());
}

TEST_F(CheckpointerTest, AConfigureThatFailsChangesNothing) {
  const auto refused = [&](const Overrides& overrides, const std::string& message) {
    EXPECT_THAT([&] { checkpointer_.configure(overrides); }, ThrowsMessage<ConfigError>(message));
  };
  const auto refuse_all = [&] {
    refused({.cpu_checkpointing = true, .number_checkpoints = -1},
            "[checkpointing] number_checkpoints: expected at least 0, got -1");
    refused(
        {.contiguous_memory_optimization = true},
        "[checkpointing] contiguous_memory_optimization: expected number_checkpoints or slab_bytes, which a step on "
        "the meta device measures, got neither");
  };
  refuse_all();
  EXPECT_FALSE(checkpointer_.is_configured());
  EXPECT_EQ(checkpointer_.tape_options().policy, nullptr);
  checkpointer_.configure({.contiguous_memory_optimization = true, .number_checkpoints = 2});
  const std::string before = checkpointer_.settings().describe();
  Tape tape(rank_.context, checkpointer_.tape_options());
  Var y = checkpointer_.checkpoint(
      tape, [&](Var x) { return probes_.probe(tape, std::move(x), 1); }, start(tape));
  refuse_all();
  EXPECT_EQ(checkpointer_.settings().describe(), before);
  EXPECT_EQ(checkpointer_.store_stats().slab_live, 256);
  EXPECT_EQ(gradient_of(tape, std::move(y)), chain_gradient(1));
}

TEST_F(CheckpointerTest, IsToBeConfiguredFirst) {
  Tape tape(rank_.context, checkpointer_.tape_options());
  const Var x = start(tape);
  EXPECT_THAT(
      [&] {
        checkpointer_.checkpoint(
            tape, [](Var a) { return a; }, x);
      },
      ThrowsMessage<Error>("[checkpointing] checkpoint: expected configure() to come before"));
  EXPECT_THAT([&] { (void)checkpointer_.store_stats(); },
              ThrowsMessage<Error>("[checkpointing] store_stats: expected configure() to come before"));
  EXPECT_EQ(checkpointer_.take_offloaded_bytes(), 0);
  EXPECT_TRUE(checkpointer_.take_profile().regions().empty());
  checkpointer_.reset();
  EXPECT_EQ(tape.depth(), 0);
  EXPECT_EQ(gradient_of(tape, probes_.probe(tape, x)), chain_gradient(1));
}

TEST(Checkpointer, RanksThatDisagreeAllFail) {
  const auto expect_all = [](const Overrides& first, const Overrides& others, const std::string& text) {
    const parallel::testing::Failures failures =
        parallel::testing::failures_of(3, [&](parallel::Communicator& communicator) {
          Rank rank(parallel::make_topology(communicator, 3));
          try {
            rank.checkpointer.configure(rank.rank == 0 ? first : others);
          } catch (const CommError&) {
            EXPECT_FALSE(rank.checkpointer.is_configured());
            throw;
          }
        });
    for (const std::string& failure : failures.ranks) {
      EXPECT_THAT(failure, HasSubstr("[comm] activation checkpointing settings: the ranks disagree: rank 0 has"));
      EXPECT_THAT(failure, HasSubstr(text));
    }
  };
  expect_all({.partition_activations = true}, {}, "partition_activations=true");
  expect_all({}, {.profile = true}, "profile=true");
  expect_all({.slab_bytes = 1}, {.slab_bytes = 2}, "slab_bytes=2");
  expect_all({.number_checkpoints = -1}, {}, "number_checkpoints=-1");
}

TEST(Checkpointer, RanksThatAgreeOnWhatIsWrongAllFailTheSame) {
  const parallel::testing::Failures failures =
      parallel::testing::failures_of(2, [](parallel::Communicator& communicator) {
        Rank rank(parallel::make_topology(communicator, 2));
        rank.checkpointer.configure({.slab_bytes = -1});
      });
  for (const std::string& failure : failures.ranks) {
    EXPECT_EQ(failure, "[checkpointing] slab_bytes: expected at least 0, got -1");
  }
}

// What lasts from step to step.

TEST(Checkpointer, ResetLetsTheSlabAndTheHostsMemoryGo) {
  for (const bool host : {false, true}) {
    Rank rank;
    rank.checkpointer.configure(
        {.contiguous_memory_optimization = true, .cpu_checkpointing = host, .number_checkpoints = 4});
    rank.checkpointer.set_policy(full());
    TinyModel model(rank.device);
    const StepBits first = step(rank, model);
    EXPECT_EQ(rank.checkpointer.store_stats().slab_bytes, 4 * TinyModel::kInputBytes);
    EXPECT_EQ(rank.checkpointer.store_stats().host_live, host ? 4 * TinyModel::kInputBytes : 0);
    rank.checkpointer.reset();
    EXPECT_EQ(rank.checkpointer.store_stats().slab_bytes, 0);
    EXPECT_EQ(rank.checkpointer.store_stats().host_live, 0);
    EXPECT_EQ(rank.activation_bytes(), 0);
    EXPECT_EQ(step(rank, model), first);
  }
}

TEST(Checkpointer, SynchronizedBoundariesLeaveNothingUnderWay) {
  const StepBits kept = kept_bits();
  with_every_store([&](Rank& rank) {
    const Settings& settings = rank.checkpointer.settings();
    rank.checkpointer.configure({.partition_activations = settings.partition_activations,
                                 .contiguous_memory_optimization = settings.contiguous_memory_optimization,
                                 .cpu_checkpointing = true,
                                 .slab_bytes = 1_MiB,
                                 .synchronize_checkpoint_boundary = true});
    rank.checkpointer.set_policy(full());
    TinyModel model(rank.device);
    rank.seed();
    Tape tape(rank.context, rank.checkpointer.tape_options());
    Var x = model.embed(tape);
    for (int layer = 0; layer < 4; ++layer) {
      const RegionScope region = tape.region("h");
      x = model.block(tape, std::move(x), layer, rank.checkpointer);
    }
    // The source of the last copy to the host would be here too.
    EXPECT_EQ(rank.activation_bytes(), TinyModel::kInputBytes);
    tape.backward(model.loss(tape, std::move(x)));
    EXPECT_EQ(model.take_gradients(), kept.gradients);
  });
}

// Bad use.

TEST_F(CheckpointerTest, RefusesATapeThatHasEndedAndItsValues) {
  checkpointer_.configure();
  Tape tape(rank_.context, checkpointer_.tape_options());
  const Var x = start(tape);
  const auto f = [&](const Var& a) { return probes_.probe(tape, a, 1); };
  const Var y = checkpointer_.checkpoint(tape, f, x);
  (void)gradient_of(tape, y);
  EXPECT_THAT([&] { checkpointer_.checkpoint(tape, f, x); },
              ThrowsMessage<Error>("[tape] region: expected a tape that records, got one that has ended"));
  Tape next(rank_.context, checkpointer_.tape_options());
  EXPECT_THAT(
      [&] {
        checkpointer_.checkpoint(
            next, [&](const Var& a) { return probes_.probe(next, a, 1); }, x);
      },
      ThrowsMessage<Error>(
          "[tape] probe: expected a value of this tape, got one of a tape that is another or has ended"));
  EXPECT_EQ(next.depth(), 0);
  EXPECT_THAT([&] { next.backward(y); },
              ThrowsMessage<Error>(
                  "[tape] backward: expected a value of this tape, got one of a tape that is another or has ended"));
}

TEST_F(CheckpointerTest, RefusesARegionThatIsLeftOpenOrClosedTwice) {
  checkpointer_.configure();
  Tape tape(rank_.context, checkpointer_.tape_options());
  const Var x = start(tape);
  std::vector<RegionScope> left;
  EXPECT_THAT([&] { checkpointer_.checkpoint(tape, [&] { left.push_back(tape.region("mlp")); }); },
              ThrowsMessage<Error>("[tape] region checkpoint.0: expected inner region mlp to be closed first"));
  EXPECT_EQ(tape.depth(), 0);
  EXPECT_THAT([&] { left.front().close(); },
              ThrowsMessage<Error>("[tape] region mlp: expected an open region, got one that is closed"));
  EXPECT_EQ(gradient_of(tape, probes_.probe(tape, x)), chain_gradient(1));
  EXPECT_THAT([&] { left.front().close(); },
              ThrowsMessage<Error>("[tape] region: expected a region of a live tape, got one whose tape has ended"));
}

}  // namespace
}  // namespace retape::checkpointing
