// What other implementations do wrong with the arguments of a checkpointed function: faults 1 to 4.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "nn/base/error.h"
#include "tests/unit/checkpointing/probe.h"
#include "tests/unit/checkpointing/rank.h"

namespace retape::checkpointing {
namespace {

using nn::Shape;
using nn::Tape;
using nn::Var;

using Program = std::function<Var(Tape&, Probes&, Var)>;

// The gradient of program(x) where x comes from an op, so that a store may have it.
std::vector<float> gradient_of(Rank& rank, const Shape& shape, const Program& program) {
  Probes probes(rank);
  Tape tape(rank.context, rank.checkpointer.tape_options());
  Var x = probes.probe(tape, probes.leaf(tape, shape));
  tape.backward(probes.loss(tape, program(tape, probes, std::move(x))));
  return probes.take_gradient();
}

std::vector<float> kept_gradient(const Shape& shape, const Program& program) {
  Rank rank;
  return gradient_of(rank, shape, program);
}

struct Choice {
  std::string name;
  int times;
};

// The function of the first two tests, as a model would have it: values between arguments of other kinds.
Var mixed(Tape& tape, Probes& probes, int id, const std::string& text, Var x, const Choice& choice, Var y,
          const std::unique_ptr<int>& number, double scale) {
  for (int i = 0; i < choice.times + *number; ++i) {
    x = probes.probe(tape, std::move(x), id + i);
  }
  y = probes.probe(tape, std::move(y), id + static_cast<int>(text.size() + choice.name.size()));
  return scale > 1 ? Probes::sum(tape, std::move(x), std::move(y)) : x;
}

// Fault 1: with partitioning, arguments that are no tensors shift those that are.
TEST(Faults, F01_NonTensorArgumentsStayInPlaceUnderEveryStore) {
  const auto program = [](Checkpointer* checkpointer) {
    return [checkpointer](Tape& tape, Probes& probes, const Var& x) {
      const Var other = probes.probe(tape, x, 1);
      const auto function = [&](int id, const std::string& text, Var a, const Choice& choice, Var b,
                                const std::unique_ptr<int>& number, double scale) {
        return mixed(tape, probes, id, text, std::move(a), choice, std::move(b), number, scale);
      };
      const Choice choice{.name = "gelu", .times = 2};
      return checkpointer == nullptr ? function(10, "heads", x, choice, other, std::make_unique<int>(1), 2.5)
                                     : checkpointer->checkpoint(tape, function, 10, "heads", x, choice, other,
                                                                std::make_unique<int>(1), 2.5);
    };
  };
  const std::vector<float> kept = kept_gradient({3, 7}, program(nullptr));
  with_every_store([&](Rank& rank) { EXPECT_EQ(gradient_of(rank, {3, 7}, program(&rank.checkpointer)), kept); });
}

TEST(Faults, F01_TheFunctionIsCalledOnceAndSeesWhatItWasGiven) {
  with_every_store([](Rank& rank) {
    Probes probes(rank);
    Tape tape(rank.context, rank.checkpointer.tape_options());
    const Var x = probes.probe(tape, probes.leaf(tape, {6}));
    int calls = 0;
    const Var y = rank.checkpointer.checkpoint(
        tape,
        [&](const std::string& text, const Var& a, int number, const Var& b) {
          ++calls;
          EXPECT_EQ(text, "text");
          EXPECT_EQ(number, 3);
          EXPECT_EQ(a.data().data(), x.data().data());
          EXPECT_EQ(b.data().data(), x.data().data());
          return probes.probe(tape, a, 1);
        },
        std::string("text"), x, 3, x);
    tape.backward(probes.loss(tape, y));
    EXPECT_EQ(calls, 1);
  });
}

// Fault 2: the caller's input is emptied. The input is read after the call, by another call, and by the caller.
std::vector<std::pair<std::string, std::function<Program(Checkpointer*)>>> sharing_programs() {
  using Call = std::function<Var(const std::function<Var(Var)>&, const Var&)>;
  const auto call = [](Tape& tape, Checkpointer* checkpointer) -> Call {
    return [&tape, checkpointer](const std::function<Var(Var)>& function, const Var& x) {
      return checkpointer == nullptr ? function(x) : checkpointer->checkpoint(tape, function, x);
    };
  };
  return {
      {"f(x) + x",
       [call](Checkpointer* checkpointer) {
         return [=](Tape& tape, Probes& probes, const Var& x) {
           const auto f = [&](Var a) { return probes.probe(tape, std::move(a), 1); };
           return Probes::sum(tape, call(tape, checkpointer)(f, x), x);
         };
       }},
      {"f(x) + g(x)",
       [call](Checkpointer* checkpointer) {
         return [=](Tape& tape, Probes& probes, const Var& x) {
           const auto f = [&](Var a) { return probes.probe(tape, std::move(a), 1); };
           const auto g = [&](const Var& a) { return probes.probe(tape, probes.probe(tape, a, 2), 3); };
           const Var left = call(tape, checkpointer)(f, x);
           return Probes::sum(tape, left, call(tape, checkpointer)(g, x));
         };
       }},
      {"f returns x",
       [call](Checkpointer* checkpointer) {
         return [=](Tape& tape, Probes& probes, const Var& x) {
           const auto f = [&](Var a) {
             (void)probes.probe(tape, a, 1);
             return a;
           };
           return probes.probe(tape, call(tape, checkpointer)(f, x), 2);
         };
       }},
  };
}

TEST(Faults, F02_InputsAreNeverEmptied) {
  for (const auto& [name, program] : sharing_programs()) {
    const std::vector<float> kept = kept_gradient({5, 3}, program(nullptr));
    with_every_store([&, &name = name, &program = program](Rank& rank) {
      EXPECT_EQ(gradient_of(rank, {5, 3}, program(&rank.checkpointer)), kept) << name;
    });
  }
}

TEST(Faults, F02_InputsAreNeverEmptiedWithoutRecording) {
  for (const auto& [name, program] : sharing_programs()) {
    const auto forward = [&program = program](Rank& rank, Checkpointer* checkpointer) {
      Probes probes(rank);
      nn::TapeOptions options = rank.checkpointer.tape_options();
      options.record = false;
      Tape tape(rank.context, options);
      const Var x = probes.probe(tape, probes.leaf(tape, {5, 3}));
      const std::vector<float> before = x.data().to_host<float>();
      const Var y = program(checkpointer)(tape, probes, x);
      EXPECT_EQ(x.data().to_host<float>(), before);
      return y.data().to_host<float>();
    };
    Rank plain;
    const std::vector<float> kept = forward(plain, nullptr);
    with_every_store([&, &name = name](Rank& rank) { EXPECT_EQ(forward(rank, &rank.checkpointer), kept) << name; });
  }
}

TEST(Faults, F02_InputsKeepTheirBitsThroughForwardAndBackward) {
  with_every_store([](Rank& rank) {
    Probes probes(rank);
    Tape tape(rank.context, rank.checkpointer.tape_options());
    const Var x = probes.probe(tape, probes.leaf(tape, {9}));
    const std::vector<float> before = x.data().to_host<float>();
    const void* const where = x.data().data();
    const Var y = rank.checkpointer.checkpoint(
        tape, [&](const Var& a) { return probes.probe(tape, a, 1); }, x);
    EXPECT_EQ(x.data().to_host<float>(), before);
    tape.backward(probes.loss(tape, y));
    EXPECT_EQ(x.data().to_host<float>(), before);
    EXPECT_EQ(x.data().data(), where);
  });
}

// Fault 3: the same tensor given twice.
TEST(Faults, F03_TheSameTensorMayComeTwice) {
  const auto program = [](Checkpointer* checkpointer) {
    return [checkpointer](Tape& tape, Probes& probes, const Var& x) {
      const auto f = [&](const Var& a, int id, Var b) {
        return Probes::sum(tape, probes.probe(tape, a, id), probes.probe(tape, std::move(b), id + 1));
      };
      return checkpointer == nullptr ? f(x, 1, x) : checkpointer->checkpoint(tape, f, x, 1, x);
    };
  };
  const std::vector<float> kept = kept_gradient({11}, program(nullptr));
  with_every_store([&](Rank& rank) { EXPECT_EQ(gradient_of(rank, {11}, program(&rank.checkpointer)), kept); });
}

// One checkpoint is kept of it, not one for each time.
TEST(Faults, F03_TheSameTensorIsStoredOnce) {
  on_ranks(2, [](Rank& rank) {
    rank.checkpointer.configure({.partition_activations = true});
    Probes probes(rank);
    Tape tape(rank.context, rank.checkpointer.tape_options());
    Var x = probes.probe(tape, probes.leaf(tape, {256}));
    const auto f = [&](const Var& a, const Var& b) {
      return Probes::sum(tape, probes.probe(tape, a, 1), probes.probe(tape, b, 2));
    };
    const Var y = rank.checkpointer.checkpoint(tape, f, x, x);
    x = Var();
    EXPECT_EQ(rank.checkpointer.store_stats().partitioned, 512);
    tape.backward(probes.loss(tape, y));
  });
}

// Fault 4: sizes that the number of ranks does not divide.
TEST(Faults, F04_AnySizeIsPartitioned) {
  const auto program = [](Checkpointer* checkpointer) {
    return [checkpointer](Tape& tape, Probes& probes, const Var& x) {
      const auto f = [&](const Var& a) { return probes.probe(tape, probes.probe(tape, a, 1), 2); };
      return checkpointer == nullptr ? f(x) : checkpointer->checkpoint(tape, f, x);
    };
  };
  for (const int ranks : {2, 3, 4}) {
    for (const Shape& shape : {Shape{1}, Shape{2}, Shape{3}, Shape{5}, Shape{7, 1}, Shape{13}, Shape{7, 11, 13}}) {
      const std::vector<float> kept = kept_gradient(shape, program(nullptr));
      on_ranks(ranks, [&](Rank& rank) {
        for (const Overrides& store : all_stores()) {
          rank.checkpointer.configure(store);
          EXPECT_EQ(gradient_of(rank, shape, program(&rank.checkpointer)), kept)
              << ranks << " ranks, " << shape.str() << ", " << rank.checkpointer.settings().describe();
        }
      });
    }
  }
}

TEST(Faults, F04_APartIsTheSizeOverTheRanksRoundedUp) {
  on_ranks(3, [](Rank& rank) {
    rank.checkpointer.configure({.partition_activations = true});
    Probes probes(rank);
    Tape tape(rank.context, rank.checkpointer.tape_options());
    const Var y = rank.checkpointer.checkpoint(
        tape, [&](const Var& a) { return probes.probe(tape, a, 1); }, probes.probe(tape, probes.leaf(tape, {1000})));
    EXPECT_EQ(rank.checkpointer.store_stats().partitioned, 4000 - 334 * 4);
    const std::vector<nn::Residual> residuals = tape.residuals();
    ASSERT_FALSE(residuals.empty());
    EXPECT_EQ(residuals.front().place, "partitioned");
  });
}

}  // namespace
}  // namespace retape::checkpointing
