#include "checkpointing/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "nn/base/error.h"

namespace retape::checkpointing {
namespace {

using nn::Region;
using nn::ValueInfo;
using ::testing::ThrowsMessage;

// Of a model of six blocks "h.0" to "h.5", of which each may hold an inner region.
class PolicyDecisions : public ::testing::Test {
 protected:
  PolicyDecisions() {
    for (int layer = 0; layer < kLayers; ++layer) {
      blocks_.push_back({.name = "h", .parent = 0, .depth = 1, .layer = layer});
      inner_.push_back({.name = "mlp", .parent = 1 + layer, .depth = 2, .layer = layer});
    }
  }

  static std::size_t at(int layer) { return static_cast<std::size_t>(layer); }
  // What is made and read in a block.
  ValueInfo inside(int layer, std::string_view name = "qkv", std::string_view op = "linear", int output = 0) const {
    return {.name = name, .op = op, .output = output, .home = &blocks_[at(layer)], .reader = &blocks_[at(layer)]};
  }
  // The same in its inner region.
  ValueInfo deep_inside(int layer) const {
    return {.name = "gelu", .op = "linear_gelu", .home = &inner_[at(layer)], .reader = &inner_[at(layer)]};
  }
  ValueInfo input_of(int layer) const {
    return {.name = "block", .op = "dropout", .home = &root_, .reader = &blocks_[at(layer)]};
  }
  ValueInfo outside() const { return {.name = "final", .op = "layer_norm", .home = &root_, .reader = &root_}; }

  // The layers for which the policy lets go what `info` gives, as digits.
  template <class Info>
  static std::string layers_let_go(const Policy& policy, Info info) {
    std::string layers;
    for (int layer = 0; layer < kLayers; ++layer) {
      layers += policy.lets_go(info(layer)) ? std::to_string(layer) : "";
    }
    return layers;
  }
  std::string insides(const Policy& policy) const {
    return layers_let_go(policy, [this](int layer) { return inside(layer); });
  }
  std::string inputs(const Policy& policy) const {
    return layers_let_go(policy, [this](int layer) { return input_of(layer); });
  }

  static constexpr int kLayers = 6;
  Region root_;
  std::vector<Region> blocks_;
  std::vector<Region> inner_;
};

TEST_F(PolicyDecisions, NoneKeepsEverything) {
  EXPECT_EQ(insides(none()), "");
  EXPECT_EQ(inputs(none()), "");
  EXPECT_FALSE(none().lets_go(outside()));
  EXPECT_TRUE(none().keeps_everything());
  EXPECT_EQ(none(), Policy{});
}

TEST_F(PolicyDecisions, FullKeepsInputsOnly) {
  EXPECT_EQ(insides(full()), "012345");
  EXPECT_EQ(inputs(full()), "");
  EXPECT_TRUE(full().lets_go(deep_inside(3)));
  EXPECT_FALSE(full().lets_go(outside()));
  EXPECT_FALSE(full().keeps_everything());
}

TEST_F(PolicyDecisions, FullWithACountKeepsEveryNthInput) {
  EXPECT_EQ(insides(full(2)), "012345");
  EXPECT_EQ(inputs(full(2)), "135");
  EXPECT_EQ(inputs(full(4)), "1235");
  EXPECT_EQ(inputs(full(100)), "12345");
  EXPECT_FALSE(full(2).lets_go(outside()));
}

TEST_F(PolicyDecisions, SelectiveNamesValuesAndMainOutputsOfOps) {
  const Policy policy = selective({"qkv", "layer_norm", "rstd"});
  EXPECT_TRUE(policy.lets_go(inside(0, "qkv", "linear")));
  EXPECT_TRUE(policy.lets_go(inside(5, "ln1", "layer_norm")));
  EXPECT_TRUE(policy.lets_go(inside(5, "rstd", "layer_norm", 2)));
  EXPECT_FALSE(policy.lets_go(inside(5, "mean", "layer_norm", 1)));
  EXPECT_FALSE(policy.lets_go(inside(0, "mlp", "linear")));
  EXPECT_TRUE(policy.lets_go(outside()));  // wherever it is
  EXPECT_EQ(inputs(policy), "");
  EXPECT_EQ(inputs(selective({"block"})), "012345");
}

TEST_F(PolicyDecisions, BlockIsFullInTheFirst) {
  EXPECT_EQ(insides(block(2)), "01");
  EXPECT_EQ(insides(block(100)), "012345");
  EXPECT_EQ(inputs(block(2)), "");
  EXPECT_TRUE(block(2).lets_go(deep_inside(1)));
  EXPECT_FALSE(block(2).lets_go(deep_inside(2)));
  EXPECT_FALSE(block(2).lets_go(outside()));
}

TEST_F(PolicyDecisions, InputsOfRegionsThatLetNothingGoAreNoCheckpoints) {
  const auto checkpoints = [this](const Policy& policy) {
    std::string layers;
    for (int layer = 0; layer < kLayers; ++layer) {
      layers += policy.keeps_as_checkpoint(input_of(layer)) ? std::to_string(layer) : "";
    }
    return layers;
  };
  EXPECT_EQ(checkpoints(none()), "");
  EXPECT_EQ(checkpoints(full()), "012345");
  EXPECT_EQ(checkpoints(selective({"gelu"})), "012345");
  EXPECT_EQ(checkpoints(block(2)), "01");
  EXPECT_EQ(checkpoints(block(2) | selective({"gelu"})), "012345");
  EXPECT_FALSE(full().keeps_as_checkpoint(inside(0)));
  EXPECT_FALSE(full().keeps_as_checkpoint(outside()));
}

TEST_F(PolicyDecisions, UniformAndNestedGroup) {
  EXPECT_EQ(insides(uniform(3)), "012345");
  EXPECT_EQ(insides(nested(3)), "012345");
  EXPECT_EQ(uniform(3).grouping, (nn::RegionGrouping{.size = 3, .merged = true}));
  EXPECT_EQ(nested(3).grouping, (nn::RegionGrouping{.size = 3, .merged = false}));
  EXPECT_EQ(full(3).grouping, nn::RegionGrouping{});
  EXPECT_FALSE(uniform(3) == nested(3));
  EXPECT_EQ(uniform(1).describe(), "full");
}

TEST_F(PolicyDecisions, ComposeToWhatEitherLetsGo) {
  const Policy policy = block(2) | selective({"qkv", "final"});
  EXPECT_EQ(insides(policy), "012345");
  EXPECT_TRUE(policy.lets_go(inside(1, "mlp")));
  EXPECT_FALSE(policy.lets_go(inside(2, "mlp")));
  EXPECT_TRUE(policy.lets_go(outside()));
  EXPECT_TRUE((none() | full()) == full());
  EXPECT_TRUE((full(2) | none()) == full(2));
}

TEST_F(PolicyDecisions, ComposeGroupsAndCountsWhereTheyAgree) {
  EXPECT_EQ((nested(2) | selective({"gelu"})).grouping, nested(2).grouping);
  EXPECT_EQ((selective({"gelu"}) | nested(2)).grouping, nested(2).grouping);
  EXPECT_EQ((uniform(2) | uniform(2)).grouping, uniform(2).grouping);
  EXPECT_EQ((full(2) | block(1)).keep_every, 2);
  EXPECT_EQ((full(3) | full(3)).keep_every, 3);
  EXPECT_EQ((full(2) | nested(3)).keep_every, 2);
  EXPECT_EQ((full(2) | nested(3)).grouping, nested(3).grouping);
}

TEST(Policy, DescribesItself) {
  EXPECT_EQ(none().describe(), "none");
  EXPECT_EQ(full().describe(), "full");
  EXPECT_EQ(full(2).describe(), "full, every 2");
  EXPECT_EQ(selective({"gelu", "layer_norm"}).describe(), "selective(gelu, layer_norm)");
  EXPECT_EQ(block(3).describe(), "block(3)");
  EXPECT_EQ(uniform(2).describe(), "full, uniform 2");
  EXPECT_EQ(nested(8).describe(), "full, nested 8");
  EXPECT_EQ((block(3) | selective({"gelu"})).describe(), "block(3) | selective(gelu)");
  EXPECT_EQ((full(2) | nested(3)).describe(), "full | full, every 2, nested 3");
}

TEST(Policy, RefusesCountsBelowOneAndNoNames) {
  using Make = std::function<Policy(int)>;
  const std::vector<std::pair<std::string, Make>> counted{
      {"full", [](int n) { return full(n); }},
      {"block", [](int n) { return block(n); }},
      {"uniform", [](int n) { return uniform(n); }},
      {"nested", [](int n) { return nested(n); }},
  };
  for (const auto& [name, make] : counted) {
    for (const int count : {0, -1}) {
      const std::string message =
          fmt::format("[checkpointing] {}: expected a count of regions above 0, got {}", name, count);
      const auto make_it = [&make = make, count] { return make(count); };
      EXPECT_THAT(make_it, ThrowsMessage<ConfigError>(message));
    }
  }
  EXPECT_THAT([] { selective({}); },
              ThrowsMessage<ConfigError>("[checkpointing] selective: expected names of ops or values, got none"));
}

TEST(Policy, RefusesTwoWaysToGroup) {
  EXPECT_THAT([] { uniform(2) | nested(2); },
              ThrowsMessage<ConfigError>("[checkpointing] full, uniform 2 | full, nested 2: expected one way to group "
                                         "regions, got two"));
  EXPECT_THAT([] { uniform(2) | uniform(3); }, ::testing::Throws<ConfigError>());
  EXPECT_THAT([] { full(2) | full(3); },
              ThrowsMessage<ConfigError>(
                  "[checkpointing] full, every 2 | full, every 3: expected one way to group regions, got two"));
}

TEST(Policy, ACheckpointIsWhatAnOutermostRegionReadsFromOutside) {
  const Region root;
  const Region block{.name = "h.0", .parent = 0, .depth = 1, .layer = 0};
  const Region inner{.name = "mlp", .parent = 1, .depth = 2, .layer = 0};
  EXPECT_TRUE(is_checkpoint({.home = &root, .reader = &block}));
  EXPECT_TRUE(is_checkpoint({.home = &root, .reader = &inner}));
  EXPECT_FALSE(is_checkpoint({.home = &block, .reader = &inner}));
  EXPECT_FALSE(is_checkpoint({.home = &block, .reader = &block}));
  EXPECT_FALSE(is_checkpoint({.home = &root, .reader = &root}));
}

}  // namespace
}  // namespace retape::checkpointing
