#include "parallel/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "nn/base/error.h"
#include "tests/support/ranks.h"

namespace retape::parallel {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using testing::failures_of;
using ::testing::HasSubstr;
using testing::on_ranks;

// "tensor rank/size, data rank/size", and who is in the groups.
std::string describe(Communicator& world, const Topology& topology) {
  const auto members = [&world](const Group& group) {
    std::string ranks(static_cast<std::size_t>(group.size()), '?');
    const char mine = static_cast<char>('0' + world.rank());
    group.communicator().all_gather(&mine, ranks.data(), 1);
    return ranks;
  };
  std::string text =
      fmt::format("t {}/{} {}", topology.tensor.rank(), topology.tensor.size(), members(topology.tensor));
  return text + fmt::format(" d {}/{} {}", topology.data.rank(), topology.data.size(), members(topology.data));
}

std::vector<std::string> topologies(int ranks, int tensor_size) {
  return on_ranks(ranks,
                  [tensor_size](Communicator& world) { return describe(world, make_topology(world, tensor_size)); });
}

TEST(Topology, TensorRanksAreNeighbours) {
  EXPECT_THAT(topologies(6, 2), ElementsAre("t 0/2 01 d 0/3 024", "t 1/2 01 d 0/3 135", "t 0/2 23 d 1/3 024",
                                            "t 1/2 23 d 1/3 135", "t 0/2 45 d 2/3 024", "t 1/2 45 d 2/3 135"));
}

TEST(Topology, AllTensorOrAllData) {
  EXPECT_THAT(topologies(2, 2), ElementsAre("t 0/2 01 d 0/1 0", "t 1/2 01 d 0/1 1"));
  EXPECT_THAT(topologies(2, 1), ElementsAre("t 0/1 0 d 0/2 01", "t 0/1 1 d 1/2 01"));
}

TEST(Topology, SingleIsOneRank) {
  const Topology single = Topology::single();
  EXPECT_EQ(single.tensor.size(), 1);
  EXPECT_EQ(single.data.size(), 1);
}

TEST(Topology, OfAPlannedWorldIsPlanned) {
  const Topology topology = make_topology(*open_planned(13, 24), 4);
  EXPECT_EQ(topology.tensor.rank(), 1);
  EXPECT_EQ(topology.tensor.size(), 4);
  EXPECT_EQ(topology.data.rank(), 3);
  EXPECT_EQ(topology.data.size(), 6);
  EXPECT_TRUE(topology.tensor.communicator().planned());
  EXPECT_TRUE(topology.data.communicator().planned());
}

TEST(Topology, OneErrorOnEveryRank) {
  const auto errors_for = [](auto size_of_rank) {
    return failures_of(4, [&](Communicator& world) { make_topology(world, size_of_rank(world.rank())); }).ranks;
  };
  EXPECT_THAT(errors_for([](int) { return 3; }),
              Each("[topology] tensor-parallel size: expected a divisor of the 4 ranks, got 3"));
  EXPECT_THAT(errors_for([](int) { return 0; }), Each(HasSubstr("got 0")));
  EXPECT_THAT(errors_for([](int rank) { return rank == 1 ? 2 : 4; }),
              Each(HasSubstr("rank 0 has \"4\", rank 1 has \"2\"")));
}

TEST(Topology, PlannedRanksAreChecked) {
  EXPECT_THROW(open_planned(2, 2), ConfigError);
  EXPECT_THROW(open_planned(-1, 2), ConfigError);
  EXPECT_THROW(open_planned(0, 0), ConfigError);
}

}  // namespace
}  // namespace retape::parallel
