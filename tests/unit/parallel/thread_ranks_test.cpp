#include "parallel/comm/thread/ranks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "nn/base/error.h"
#include "tests/support/ranks.h"

namespace retape::parallel {
namespace {

using testing::on_ranks;

// Values of very different sizes, so that another order of addition shows in the bits.
std::vector<float> values_of(int rank, Elems elems) {
  std::mt19937 random(static_cast<unsigned>(rank));
  std::uniform_real_distribution<float> fraction(-1, 1);
  std::vector<float> values(static_cast<std::size_t>(elems));
  for (float& value : values) {
    value = std::ldexp(fraction(random), static_cast<int>(random() % 24));
  }
  return values;
}

std::vector<float> sum_in_order(int ranks, Elems elems) {
  std::vector<float> sum = values_of(0, elems);
  for (int rank = 1; rank < ranks; ++rank) {
    const std::vector<float> values = values_of(rank, elems);
    for (std::size_t i = 0; i < sum.size(); ++i) {
      sum[i] += values[i];
    }
  }
  return sum;
}

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits;
  bits.reserve(values.size());
  for (const float value : values) {
    bits.push_back(std::bit_cast<std::uint32_t>(value));
  }
  return bits;
}

class Sizes : public ::testing::TestWithParam<std::tuple<int, Elems>> {
 protected:
  int ranks() const { return std::get<0>(GetParam()); }
  Elems elems() const { return std::get<1>(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(ThreadRanks, Sizes,
                         ::testing::Combine(::testing::Values(1, 2, 3, 4, 7),
                                            ::testing::Values(0, 1, 5, 16, 33, 1024, 5001)));

TEST_P(Sizes, AllReduceAddsInRankOrder) {
  const auto sums = on_ranks(ranks(), [this](Communicator& communicator) {
    std::vector<float> values = values_of(communicator.rank(), elems());
    communicator.all_reduce_sum(values.data(), elems());
    return values;
  });
  for (const std::vector<float>& sum : sums) {
    EXPECT_EQ(bits_of(sum), bits_of(sum_in_order(ranks(), elems())));
  }
}

TEST_P(Sizes, ReduceScatterGivesEachRankItsPartOfTheSum) {
  const auto parts = on_ranks(ranks(), [this](Communicator& communicator) {
    const std::vector<float> values = values_of(communicator.rank(), elems() * ranks());
    std::vector<float> part(static_cast<std::size_t>(elems()));
    communicator.reduce_scatter_sum(values.data(), part.data(), elems());
    return part;
  });
  std::vector<float> joined;
  for (const std::vector<float>& part : parts) {
    joined.insert(joined.end(), part.begin(), part.end());
  }
  EXPECT_EQ(bits_of(joined), bits_of(sum_in_order(ranks(), elems() * ranks())));
}

TEST_P(Sizes, AllGatherJoinsInRankOrder) {
  std::vector<float> expected;
  for (int rank = 0; rank < ranks(); ++rank) {
    const std::vector<float> values = values_of(rank, elems());
    expected.insert(expected.end(), values.begin(), values.end());
  }
  const auto gathered = on_ranks(ranks(), [this](Communicator& communicator) {
    const std::vector<float> values = values_of(communicator.rank(), elems());
    std::vector<float> whole(static_cast<std::size_t>(elems() * ranks()));
    communicator.all_gather(values.data(), whole.data(), elems() * 4);
    return whole;
  });
  for (const std::vector<float>& whole : gathered) {
    EXPECT_EQ(bits_of(whole), bits_of(expected));
  }
}

TEST_P(Sizes, BroadcastGivesTheRootsData) {
  const int root = ranks() - 1;
  const auto received = on_ranks(ranks(), [this, root](Communicator& communicator) {
    std::vector<float> values = values_of(communicator.rank(), elems());
    communicator.broadcast(values.data(), elems() * 4, root);
    return values;
  });
  for (const std::vector<float>& values : received) {
    EXPECT_EQ(bits_of(values), bits_of(values_of(root, elems())));
  }
}

TEST(ThreadRanks, GatherOddByteCountsInPlace) {
  constexpr Bytes kEach = 7;
  const auto wholes = on_ranks(3, [](Communicator& communicator) {
    std::string whole(communicator.size() * kEach, '.');
    char* own = whole.data() + communicator.rank() * kEach;
    std::fill_n(own, kEach, static_cast<char>('a' + communicator.rank()));
    communicator.all_gather(own, whole.data(), kEach);
    return whole;
  });
  EXPECT_EQ(wholes, std::vector<std::string>(3, "aaaaaaabbbbbbbccccccc"));
}

TEST(ThreadRanks, ReduceScatterInPlace) {
  constexpr Elems kEach = 9;
  const auto parts = on_ranks(4, [](Communicator& communicator) {
    std::vector<float> values = values_of(communicator.rank(), communicator.size() * kEach);
    float* own = values.data() + communicator.rank() * kEach;
    communicator.reduce_scatter_sum(values.data(), own, kEach);
    return std::vector<float>(own, own + kEach);
  });
  const std::vector<float> sum = sum_in_order(4, 4 * kEach);
  for (std::size_t rank = 0; rank < 4; ++rank) {
    const auto begin = sum.begin() + static_cast<Elems>(rank) * kEach;
    EXPECT_EQ(bits_of(parts[rank]), bits_of({begin, begin + kEach}));
  }
}

TEST(ThreadRanks, SumsDoNotDependOnWhoComesFirst) {
  constexpr Elems kElems = 777;
  const std::vector<std::uint32_t> expected = bits_of(sum_in_order(4, kElems));
  for (int run = 0; run < 100; ++run) {
    run_ranks(4, [&](Communicator& communicator) {
      std::this_thread::sleep_for(std::chrono::microseconds((communicator.rank() * 37 + run * 11) % 50));
      std::vector<float> values = values_of(communicator.rank(), kElems);
      communicator.all_reduce_sum(values.data(), kElems);
      EXPECT_EQ(bits_of(values), expected);
    });
  }
}

// Buffers are reused and freed the moment a collective returns.
TEST(ThreadRanks, CollectivesFollowEachOtherAtOnce) {
  run_ranks(4, [](Communicator& communicator) {
    for (int i = 0; i < 300; ++i) {
      std::vector<int> all(4);
      const int mine = communicator.rank() + i;
      communicator.all_gather(&mine, all.data(), sizeof(mine));
      EXPECT_EQ(all, (std::vector{i, i + 1, i + 2, i + 3}));
      std::vector<float> ones(17, static_cast<float>(i));
      communicator.all_reduce_sum(ones.data(), 17);
      EXPECT_EQ(ones, std::vector<float>(17, static_cast<float>(4 * i)));
      int root = mine;
      communicator.broadcast(&root, sizeof(root), i % 4);
      EXPECT_EQ(root, i + i % 4);
    }
  });
}

TEST(ThreadRanks, BarrierWaitsForAll) {
  std::atomic<int> before = 0;
  run_ranks(5, [&](Communicator& communicator) {
    ++before;
    communicator.barrier();
    EXPECT_EQ(before, 5);
  });
}

TEST(ThreadRanks, SplitGroupsWorkOnTheirOwnAtOnce) {
  run_ranks(6, [](Communicator& world) {
    const int color = world.rank() % 2;
    const std::unique_ptr<Communicator> part = world.split(color);
    EXPECT_EQ(part->size(), 3);
    EXPECT_EQ(part->rank(), world.rank() / 2);
    // One colour has far more to do than the other.
    for (int i = 0; i < (color == 0 ? 10 : 200); ++i) {
      std::vector<int> ranks(3);
      const int mine = world.rank();
      part->all_gather(&mine, ranks.data(), sizeof(mine));
      EXPECT_EQ(ranks, (std::vector{color, color + 2, color + 4}));
    }
    world.barrier();
  });
}

TEST(ThreadRanks, SplitOfASplitAndOfUnequalSizes) {
  const auto sums = on_ranks(5, [](Communicator& world) {
    const std::unique_ptr<Communicator> part = world.split(world.rank() < 4 ? 7 : -1);
    const std::unique_ptr<Communicator> pair = part->split(part->rank() / 2);
    auto sum = static_cast<float>(world.rank());
    pair->all_reduce_sum(&sum, 1);
    return sum;
  });
  EXPECT_EQ(sums, (std::vector<float>{1, 1, 5, 5, 4}));
}

TEST(ThreadRanks, DuplicateServesAnotherThread) {
  run_ranks(3, [](Communicator& world) {
    const std::unique_ptr<Communicator> other = world.split(0);
    const auto count_up = [](Communicator& communicator, int rounds) {
      for (int i = 0; i < rounds; ++i) {
        auto sum = static_cast<float>(i);
        communicator.all_reduce_sum(&sum, 1);
        EXPECT_EQ(sum, static_cast<float>(3 * i));
      }
    };
    std::jthread thread([&] { count_up(*other, 100); });
    count_up(world, 150);
  });
}

TEST(ThreadRanks, MayOutliveTheRun) {
  std::vector<std::unique_ptr<Communicator>> kept(2);
  run_ranks(2, [&](Communicator& world) { kept[static_cast<std::size_t>(world.rank())] = world.split(0); });
  EXPECT_THROW(kept[0]->barrier(), CommError);
}

}  // namespace
}  // namespace retape::parallel
