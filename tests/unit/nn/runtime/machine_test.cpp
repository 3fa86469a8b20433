#include "nn/runtime/cpu/machine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>

namespace retape::nn::cpu {
namespace {

TEST(Machine, MakesWhatItKeepsOnce) {
  Machine machine(1);
  int made = 0;
  const auto make = [&made] { return ++made; };
  const auto fail = []() -> int { throw std::runtime_error("make"); };
  EXPECT_THROW(machine.cached<int>("a", fail), std::runtime_error);
  EXPECT_EQ(machine.cached<int>("a", make), 1);
  EXPECT_EQ(machine.cached<int>("b", make), 2);
  EXPECT_EQ(machine.cached<int>("a", make), 1);
  EXPECT_EQ(made, 2);
}

TEST(Machine, KeepsNoMoreThanALimit) {
  Machine machine(1);
  auto token = std::make_shared<int>(0);
  long most = 0;
  for (std::size_t i = 0; i < 3 * Machine::kMostCached; ++i) {
    machine.cached<std::shared_ptr<int>>(std::to_string(i), [&token] { return token; });
    most = std::max(most, token.use_count());
  }
  EXPECT_EQ(most, static_cast<long>(Machine::kMostCached) + 1);
  // What is asked for again after all others is there, and goes on being kept.
  int made = 0;
  for (int i = 0; i < 3; ++i) {
    machine.cached<int>("last", [&made] { return ++made; });
  }
  EXPECT_EQ(made, 1);
}

}  // namespace
}  // namespace retape::nn::cpu
