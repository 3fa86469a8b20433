// Ranks that come to gather different values: all of them are told, and none goes on with wrong bits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

#include "nn/base/error.h"
#include "tests/support/ranks.h"
#include "tests/unit/checkpointing/probe.h"
#include "tests/unit/checkpointing/rank.h"
#include "tests/unit/checkpointing/tiny_model.h"

namespace retape::checkpointing {
namespace {

using nn::RegionScope;
using nn::Tape;
using nn::Var;
using ::testing::Each;
using ::testing::HasSubstr;

// Two ranks run the body, which is to fail on both, each with such a message.
void expect_all_fail(const std::function<void(Rank&)>& body, const std::string& what,
                     const ::testing::Matcher<const std::string&>& message) {
  const parallel::testing::Failures failures =
      parallel::testing::failures_of(2, [&](parallel::Communicator& communicator) {
        Rank rank(parallel::make_topology(communicator, 2));
        body(rank);
      });
  EXPECT_THAT(failures.ranks, Each(message)) << what;
}

void expect_all_disagree(const std::function<void(Rank&)>& body, const std::string& what) {
  expect_all_fail(body, what, HasSubstr("the ranks disagree: rank 0 has"));
}

// All regions have one name, so that their inputs differ in nothing but their numbers.
Var forward(Rank& rank, TinyModel& model, Tape& tape, const std::function<void(int, const Var&)>& see_input) {
  Var x = model.embed(tape);
  for (int layer = 0; layer < 4; ++layer) {
    see_input(layer, x);
    const RegionScope region = tape.region("h");
    x = model.block(tape, std::move(x), layer, rank.checkpointer);
  }
  return model.loss(tape, std::move(x));
}

// What the program holds need not be gathered, and one rank's program holds the input of a block. Where that is the
// last one that the others gather, the next step tells.
TEST(Gathers, AValueThatOneRankAloneHoldsEndsAll) {
  for (const bool host : {false, true}) {
    for (int held_layer = 0; held_layer < 4; ++held_layer) {
      expect_all_disagree(
          [&](Rank& rank) {
            rank.checkpointer.configure({.partition_activations = true, .cpu_checkpointing = host});
            rank.checkpointer.set_policy(full());
            TinyModel model(rank.device);
            for (int step = 0; step < 2; ++step) {
              Tape tape(rank.context, rank.checkpointer.tape_options());
              Var held;
              Var loss = forward(rank, model, tape, [&](int layer, const Var& x) {
                if (rank.rank == 0 && layer == held_layer) {
                  held = x;
                }
              });
              tape.backward(std::move(loss));
            }
          },
          fmt::format("layer {}, host {}", held_layer, host));
    }
  }
}

// One that the ranks set before they configure differs there; one that they set later, in the gathers.
TEST(Gathers, PoliciesThatDifferEndAll) {
  for (const auto& [of_rank_0, of_rank_1] :
       {std::pair(full(), full(2)), std::pair(full(), block(2)), std::pair(uniform(2), full()),
        std::pair(full(2), uniform(2)), std::pair(nested(2), full())}) {
    for (const bool later : {false, true}) {
      expect_all_disagree(
          [&, &first = of_rank_0, &second = of_rank_1](Rank& rank) {
            const Policy& policy = rank.rank == 0 ? first : second;
            rank.checkpointer.set_policy(later ? full() : policy);
            rank.checkpointer.configure({.partition_activations = true});
            rank.checkpointer.set_policy(policy);
            TinyModel model(rank.device);
            (void)step(rank, model);
            (void)step(rank, model);
          },
          fmt::format("{} and {}, {}", of_rank_0.describe(), of_rank_1.describe(), later ? "later" : "before"));
    }
  }
}

// One rank fails alone in its first backward, catches that, and begins its next step; the other is still in its first.
TEST(Gathers, ARankThatGoesOnAfterAFailureEndsAll) {
  for (const bool host : {false, true}) {
    expect_all_fail(
        [&](Rank& rank) {
          rank.checkpointer.configure({.partition_activations = true, .cpu_checkpointing = host});
          Probes probes(rank);
          const auto run_step = [&] {
            Tape tape(rank.context, rank.checkpointer.tape_options());
            Var x = probes.probe(tape, probes.leaf(tape, {64}));
            for (int layer = 0; layer < 4; ++layer) {
              x = rank.checkpointer.checkpoint(
                  tape, [&](Var a) { return probes.probe(tape, probes.probe(tape, std::move(a), 1), 2); },
                  std::move(x));
            }
            tape.backward(probes.loss(tape, std::move(x)));
          };
          if (rank.rank == 0) {
            probes.log.fail_in_backward = 1;
            try {
              run_step();
              ADD_FAILURE() << "expected the probe to fail";
            } catch (const CommError&) {
              throw;
            } catch (const std::runtime_error& error) {
              EXPECT_STREQ(error.what(), "backward");
            }
          }
          run_step();
        },
        host ? "host" : "device",
        // The second where the other rank takes more than a moment to come to its gather.
        ::testing::AnyOf(HasSubstr("the ranks disagree: rank 0 has"),
                         HasSubstr("it failed while a gather of saved values was under way")));
  }
}

}  // namespace
}  // namespace retape::checkpointing
