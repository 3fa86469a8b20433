// The tools around random programs: what makes them, tells of them, makes them small and survives them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/programs/check.h"
#include "tests/programs/generate.h"
#include "tests/programs/isolate.h"
#include "tests/programs/scope.h"
#include "tests/programs/shrink.h"
#include "tests/programs/text.h"

namespace retape::programs {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

bool has(const std::vector<Statement>& body, StatementKind kind) {
  return std::any_of(body.begin(), body.end(), [kind](const Statement& statement) {
    return statement.kind == kind || has(statement.body, kind);
  });
}

TEST(Programs, AreAFunctionOfSeedAndNumber) {
  std::set<std::string> texts;
  for (int number = 0; number < 50; ++number) {
    EXPECT_EQ(generate(1, number), generate(1, number));
    texts.insert(describe(generate(1, number)));
    texts.insert(describe(generate(2, number)));
  }
  EXPECT_EQ(texts.size(), 100U);
}

TEST(Programs, UseEveryKindOfStatementAndSetting) {
  std::set<StatementKind> kinds;
  std::set<int> ranks;
  std::set<std::string> policies;
  std::set<nn::DType> dtypes;
  std::set<int> stores;
  int failing = 0;
  for (int number = 0; number < 500; ++number) {
    const Program program = generate(3, number);
    ranks.insert(program.ranks);
    failing += program.failure > 0 ? 1 : 0;
    dtypes.insert(program.dtype);
    for (const SettingsForm& form : program.settings) {
      policies.insert(form.policy.describe());
      stores.insert((form.partition ? 1 : 0) + (form.host ? 2 : 0) + 4 * static_cast<int>(form.contiguous));
    }
    for (int kind = 0; kind <= static_cast<int>(StatementKind::backward); ++kind) {
      if (has(program.body, static_cast<StatementKind>(kind))) {
        kinds.insert(static_cast<StatementKind>(kind));
      }
    }
  }
  EXPECT_EQ(kinds.size(), static_cast<std::size_t>(StatementKind::backward) + 1);
  EXPECT_EQ(ranks, (std::set<int>{1, 2, 3}));
  EXPECT_EQ(dtypes.size(), 2U);
  EXPECT_EQ(stores.size(), 12U);
  EXPECT_GT(failing, 20);
  for (const char* policy : {"none", "full", "full, every 2", "full, uniform 3", "full, nested 2", "block(1)"}) {
    EXPECT_TRUE(policies.contains(policy)) << policy;
  }
}

TEST(Programs, AreRightWhenTheyAreMadeSoThatNothingIsToBeRepaired) {
  for (int number = 0; number < 300; ++number) {
    const Program program = generate(4, number);
    Program repaired = program;
    repair(repaired);
    EXPECT_EQ(describe(repaired), describe(program)) << number;
  }
}

TEST(Programs, AreMadeSmallWhileTheyFail) {
  const auto fails = [](const Program& program) {
    return has(program.body, StatementKind::backward) && describe(program).find("head") != std::string::npos;
  };
  int failures = 0;
  for (int number = 0; number < 30; ++number) {
    const Program program = generate(5, number);
    if (fails(program)) {
      ++failures;
      const Program small = shrink(program, fails);
      EXPECT_TRUE(fails(small));
      EXPECT_EQ(small.ranks, 1);
      // A parameter, the op, and a gradient of something that is wanted.
      EXPECT_LE(count_statements(small.body), 4) << describe(small);
    }
  }
  EXPECT_GT(failures, 5);
}

TEST(Programs, ReadLikePrograms) {
  Program program{.parameters = {{.elems = 16}},
                  .settings = {{.policy = checkpointing::full(), .host = true, .host_limit = 512}},
                  .variables = 4};
  program.body = {{.kind = StatementKind::parameter, .result = 0},
                  {.kind = StatementKind::checkpoint,
                   .inputs = {0},
                   .parameters = {1},
                   .returned = {2},
                   .gives_away = true,
                   .body = {{.result = 2, .inputs = {1, 1}, .op = OpKind::times, .choice = 1}}},
                  {.kind = StatementKind::backward, .inputs = {2}, .times = 2}};
  EXPECT_EQ(describe(program),
            "1 rank, f32\nsettings 0: policy full, host of 512 bytes\nparameter 0: 16 elements\nv0 = parameter 0\n"
            "checkpoint(v1 = v0), arguments given away:\n  v2 = times(v1, v1), named left\n  return v2\n"
            "backward v2, twice\n");
  EXPECT_EQ(check(program), "");
}

TEST(Isolation, TellsWhatFailedAndHowFarItCame) {
  const auto found = [](const std::function<std::string(std::int64_t)>& work) {
    return run_isolated(3, 9, work, {.patience = std::chrono::seconds(1), .quiet = true});
  };
  const Found well = found([](std::int64_t) { return std::string(); });
  EXPECT_EQ(well.failure, "");
  EXPECT_EQ(well.number, 9);
  const auto at_five = [&](const std::function<std::string()>& fail) {
    const Found failed = found([&](std::int64_t number) { return number == 5 ? fail() : std::string(); });
    EXPECT_EQ(failed.number, 5);
    return failed.failure;
  };
  EXPECT_EQ(at_five([] { return std::string("it is wrong"); }), "it is wrong");
  EXPECT_EQ(at_five([]() -> std::string { throw std::runtime_error("thrown"); }), "it throws: thrown");
  EXPECT_EQ(at_five([]() -> std::string { std::_Exit(7); }), "its process ends with 7");
  EXPECT_THAT(at_five([] {
                (void)std::raise(SIGKILL);
                return std::string();
              }),
              StartsWith("it crashes: "));
  EXPECT_THAT(at_five([] {
                std::this_thread::sleep_for(std::chrono::seconds(30));
                return std::string();
              }),
              HasSubstr("it hangs"));
}

}  // namespace
}  // namespace retape::programs
