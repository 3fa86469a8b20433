#include "checkpointing/stores/partition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "parallel/comm/thread/ranks.h"

namespace retape::checkpointing {
namespace {

using nn::DType;
using nn::Tensor;
using ::testing::ElementsAreArray;

// A member of a group that is not there: enough to cut.
Partition planned(int rank, int size) {
  return Partition(parallel::Group(parallel::open_planned(rank, size)));
}

bool splits(const Partition& partition, const Tensor& value) {
  return partition.splits(value, nn::Placement::replicated);
}

class PartitionTest : public ::testing::Test {
 protected:
  Tensor make(Elems elems, DType dtype = DType::f32) { return {device_, {elems}, dtype, nn::Tag::activations}; }
  Tensor counting(Elems elems) {
    std::vector<float> values(static_cast<std::size_t>(elems));
    std::iota(values.begin(), values.end(), 1.0F);
    Tensor tensor = make(elems);
    tensor.from_host<float>(values);
    return tensor;
  }
  std::vector<float> part(int rank, int size, Elems elems) {
    const Partition partition = planned(rank, size);
    Tensor shard = make(partition.shard_elems(elems));
    shard.from_host<float>(std::vector<float>(static_cast<std::size_t>(shard.elems()), -1.0F));
    partition.cut(counting(elems), shard);
    return shard.to_host<float>();
  }

  nn::Device device_{{.threads = 1}};
};

TEST_F(PartitionTest, EachRankKeepsItsPartAndZerosBehindTheEnd) {
  const std::vector<std::vector<float>> even{{1, 2}, {3, 4}, {5, 6}, {7, 8}};
  const std::vector<std::vector<float>> odd{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 0, 0}};
  const std::vector<std::vector<float>> short_of_one{{1, 2}, {3, 4}, {5, 0}, {0, 0}};
  for (int rank = 0; rank < 4; ++rank) {
    const auto r = static_cast<std::size_t>(rank);
    EXPECT_THAT(part(rank, 4, 8), ElementsAreArray(even[r]));
    EXPECT_THAT(part(rank, 4, 10), ElementsAreArray(odd[r]));
    EXPECT_THAT(part(rank, 4, 5), ElementsAreArray(short_of_one[r]));
  }
}

TEST_F(PartitionTest, SplitsFloatsThatAreAsManyAsRanks) {
  const Partition partition = planned(1, 4);
  EXPECT_TRUE(splits(partition, make(4)));
  EXPECT_TRUE(splits(partition, make(7, DType::bf16)));
  EXPECT_FALSE(splits(partition, make(3)));
  EXPECT_FALSE(splits(partition, make(0)));
  EXPECT_FALSE(splits(partition, make(100, DType::i32)));
}

TEST_F(PartitionTest, NeverSplitsAShard) {
  EXPECT_FALSE(planned(0, 2).splits(make(8), nn::Placement::shard));
}

TEST_F(PartitionTest, ThePartsMakeTheWhole) {
  parallel::run_ranks(3, [](parallel::Communicator& communicator) {
    nn::Device device({.threads = 1});
    const parallel::Group group(communicator.split(0));
    const Partition partition(group);
    Tensor value(device, {7}, DType::f32, nn::Tag::activations);
    value.from_host<float>(std::vector{1.0F, 2.0F, 3.0F, 4.0F, 5.0F, 6.0F, 7.0F});
    Tensor padded(device, {partition.padded_elems(7)}, DType::f32, nn::Tag::recompute);
    Tensor shard = partition.own_part(padded);
    partition.cut(value, shard);
    partition.gather(shard, padded, "x");
    EXPECT_THAT(padded.to_host<float>(), ElementsAreArray({1.0F, 2.0F, 3.0F, 4.0F, 5.0F, 6.0F, 7.0F, 0.0F, 0.0F}));
  });
}

}  // namespace
}  // namespace retape::checkpointing
