#include "parallel/comm/group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "nn/base/error.h"
#include "tests/support/ranks.h"

namespace retape::parallel {
namespace {

using nn::DType;
using nn::Tag;
using nn::Tensor;
using ::testing::Each;
using testing::Failures;
using testing::failures_of;
using ::testing::HasSubstr;

nn::DeviceOptions on_cpu() {
  return {.kind = nn::DeviceKind::cpu, .threads = 1};
}

template <class T>
Tensor tensor_of(nn::Device& device, const nn::Shape& shape, const std::vector<T>& values) {
  Tensor tensor(device, shape, nn::kDTypeOf<T>, Tag::activations);
  tensor.from_host(std::span<const T>(values));
  return tensor;
}

Group duplicate_of(Communicator& world) {
  return Group(world.split(0));
}

TEST(Group, GathersShardsOfAnyShape) {
  run_ranks(3, [](Communicator& world) {
    nn::Device device(on_cpu());
    const Group group = duplicate_of(world);
    const int r = group.rank();
    const Tensor shard = tensor_of<std::int32_t>(device, {1, 3}, {10 * r, 10 * r + 1, 10 * r + 2});
    Tensor whole(device, {9}, DType::i32, Tag::activations);
    group.all_gather(shard, whole);
    EXPECT_EQ(whole.to_host<std::int32_t>(), (std::vector<std::int32_t>{0, 1, 2, 10, 11, 12, 20, 21, 22}));
  });
}

TEST(Group, ReducesF32) {
  run_ranks(4, [](Communicator& world) {
    nn::Device device(on_cpu());
    Tensor tensor = tensor_of<float>(device, {2}, {0.5F, static_cast<float>(world.rank())});
    duplicate_of(world).all_reduce_sum(tensor);
    EXPECT_EQ(tensor.to_host<float>(), (std::vector<float>{2, 6}));
  });
}

TEST(Group, SaysWhatItWrites) {
  run_ranks(2, [](Communicator& world) {
    nn::Device device(on_cpu());
    const Group group = duplicate_of(world);
    const auto written = [&](const Tensor& tensor, const auto& collective) {
      const std::uint64_t before = tensor.storage()->version();
      collective();
      return tensor.storage()->version() > before;
    };
    Tensor whole(device, {4}, DType::f32, Tag::parameters);
    Tensor bf16(device, {4}, DType::bf16, Tag::parameters);
    const Tensor shard = tensor_of<float>(device, {2}, {1, 2});
    bf16.fill_zero();
    EXPECT_TRUE(written(whole, [&] { group.all_gather(shard, whole); }));
    EXPECT_FALSE(written(shard, [&] { group.all_gather(shard, whole); }));
    EXPECT_TRUE(written(whole, [&] { group.all_reduce_sum(whole); }));
    EXPECT_TRUE(written(bf16, [&] { group.all_reduce_sum(bf16); }));
  });
}

// 256 + 1 + 1 + 1 is 259: in bf16, where 256's neighbour is 258, adding one by one would stay at 256.
TEST(Group, ReducesBf16InF32AndRoundsOnce) {
  constexpr Elems kElems = 256 * 1024 + 37;  // more than one chunk
  run_ranks(4, [](Communicator& world) {
    nn::Device device(on_cpu());
    const nn::bf16 mine = nn::to_bf16(world.rank() == 0 ? 256.0F : 1.0F);
    Tensor tensor = tensor_of(device, {kElems}, std::vector<nn::bf16>(kElems, mine));
    duplicate_of(world).all_reduce_sum(tensor);
    for (const nn::bf16 sum : tensor.to_host<nn::bf16>()) {
      ASSERT_EQ(sum.bits, nn::to_bf16(259.0F).bits);
    }
    EXPECT_EQ(device.memory().stats().live_by_tag[static_cast<std::size_t>(Tag::communication)], 0);
  });
}

TEST(Group, OfOneRankCopiesAndKeeps) {
  nn::Device device(on_cpu());
  const Group group = Group::self();
  Tensor tensor = tensor_of<float>(device, {2}, {1, 2});
  Tensor whole(device, {2}, DType::f32, Tag::activations);
  group.all_gather(tensor, whole);
  EXPECT_EQ(whole.to_host<float>(), (std::vector<float>{1, 2}));
  group.all_reduce_sum(tensor);
  EXPECT_EQ(tensor.to_host<float>(), (std::vector<float>{1, 2}));
  group.barrier();
  group.require_agreement("plan", "anything");
  EXPECT_EQ(group.duplicate().size(), 1);
}

TEST(Group, EmptyTensors) {
  run_ranks(2, [](Communicator& world) {
    nn::Device device(on_cpu());
    const Group group = duplicate_of(world);
    Tensor shard(device, {0, 4}, DType::bf16, Tag::activations);
    Tensor whole(device, {0, 8}, DType::bf16, Tag::activations);
    group.all_gather(shard, whole);
    group.all_reduce_sum(shard);
  });
}

TEST(Group, ShardsThatDifferFailOnAllRanks) {
  const Failures failures = failures_of(3, [](Communicator& world) {
    nn::Device device(on_cpu());
    // As many bytes, another shape.
    const Tensor shard(device, world.rank() == 2 ? nn::Shape{4, 2} : nn::Shape{2, 4}, DType::f32, Tag::activations);
    Tensor whole(device, {24}, DType::f32, Tag::activations);
    duplicate_of(world).all_gather(shard, whole);
  });
  EXPECT_THAT(failures.ranks, Each(HasSubstr("rank 0 has \"f32 [2, 4]\", rank 2 has \"f32 [4, 2]\"")));
}

TEST(Group, ShardsOfOneLabelAreGathered) {
  run_ranks(2, [](Communicator& world) {
    nn::Device device(on_cpu());
    const Group group = duplicate_of(world);
    for (const std::string& label : {std::string("h.2: x"), std::string(10000, 'x')}) {
      const Tensor shard = tensor_of<std::int32_t>(device, {1}, {group.rank()});
      Tensor whole(device, {2}, DType::i32, Tag::activations);
      group.all_gather(shard, whole, label);
      EXPECT_EQ(whole.to_host<std::int32_t>(), (std::vector<std::int32_t>{0, 1}));
    }
  });
}

TEST(Group, LabelsThatDifferFailOnAllRanks) {
  const auto failures_with = [](const std::string& label, const std::string& of_the_last) {
    return failures_of(3, [&](Communicator& world) {
      nn::Device device(on_cpu());
      const Tensor shard(device, {2, 4}, DType::f32, Tag::activations);
      Tensor whole(device, {24}, DType::f32, Tag::activations);
      duplicate_of(world).all_gather(shard, whole, world.rank() == 2 ? of_the_last : label);
    });
  };
  EXPECT_THAT(failures_with("h.2: x", "h.1: x").ranks,
              Each("[comm] all_gather of shards: the ranks disagree: rank 0 has \"h.2: x, f32 [2, 4]\", rank 2 has "
                   "\"h.1: x, f32 [2, 4]\""));
  EXPECT_THAT(failures_with("h.2: x", "").ranks, Each(HasSubstr("rank 2 has \"f32 [2, 4]\"")));
}

TEST(Group, RefusesWhatDoesNotFit) {
  nn::Device device(on_cpu());
  nn::Device meta({.kind = nn::DeviceKind::meta});
  const Group group = Group::self();
  Tensor shard(device, {4}, DType::f32, Tag::activations);
  Tensor longer(device, {5}, DType::f32, Tag::activations);
  Tensor ids(device, {4}, DType::i32, Tag::activations);
  Tensor elsewhere(meta, {4}, DType::f32, Tag::activations);
  Tensor none;
  EXPECT_THROW(group.all_gather(shard, longer), ShapeError);
  EXPECT_THROW(group.all_gather(shard, ids), ShapeError);
  EXPECT_THROW(group.all_gather(shard, elsewhere), ShapeError);
  EXPECT_THROW(group.all_gather(shard, none), ShapeError);
  EXPECT_THROW(group.all_reduce_sum(ids), ShapeError);
  EXPECT_THROW(Group(nullptr), CommError);
}

TEST(Group, PlannedMovesNothingAndTakesMetaOnly) {
  nn::Device device(on_cpu());
  nn::Device meta({.kind = nn::DeviceKind::meta});
  const Group group(open_planned(2, 8));
  EXPECT_EQ(group.rank(), 2);
  EXPECT_EQ(group.size(), 8);
  EXPECT_EQ(group.duplicate().size(), 8);
  group.barrier();
  group.require_agreement("plan", "mine");

  const Tensor shard(meta, {3, 5}, DType::bf16, Tag::activations);
  Tensor whole(meta, {120}, DType::bf16, Tag::activations);
  Tensor small(meta, {119}, DType::bf16, Tag::activations);
  group.all_gather(shard, whole);
  group.all_reduce_sum(whole);
  EXPECT_THROW(group.all_gather(shard, small), ShapeError);

  Tensor real(device, {4}, DType::f32, Tag::activations);
  EXPECT_THROW(group.all_reduce_sum(real), CommError);
}

TEST(Group, ReducingTakesTheSameMemoryOnMeta) {
  const auto stats_of = [](nn::DeviceKind kind) {
    nn::Device device({.kind = kind, .threads = 1});
    Tensor tensor(device, {1000}, DType::bf16, Tag::activations);
    if (device.computes()) {
      tensor.fill_zero();
    }
    Group::self().all_reduce_sum(tensor);
    return device.memory().stats();
  };
  EXPECT_EQ(stats_of(nn::DeviceKind::cpu), stats_of(nn::DeviceKind::meta));
}

TEST(Group, AgreementNamesTheFirstThatDiffersAndBothTexts) {
  run_ranks(3, [](Communicator& world) {
    duplicate_of(world).require_agreement("plan", "keep h.0");
    duplicate_of(world).require_agreement("nothing", "");
  });
  const Failures failures = failures_of(4, [](Communicator& world) {
    duplicate_of(world).require_agreement("plan", world.rank() < 2 ? "keep h.0" : "keep h.0 and h.1");
  });
  EXPECT_THAT(failures.ranks, Each("[comm] plan: the ranks disagree: rank 0 has \"keep h.0\", rank 2 has "
                                   "\"keep h.0 and h.1\""));
}

TEST(Group, DuplicateHasAnOrderOfItsOwn) {
  run_ranks(2, [](Communicator& world) {
    const Group group = duplicate_of(world);
    const Group other = group.duplicate();
    std::jthread thread([&] {
      nn::Device device(on_cpu());
      for (int i = 0; i < 50; ++i) {
        const Tensor shard = tensor_of<std::int32_t>(device, {1}, {i + other.rank()});
        Tensor whole(device, {2}, DType::i32, Tag::activations);
        other.all_gather(shard, whole);
        EXPECT_EQ(whole.to_host<std::int32_t>(), (std::vector<std::int32_t>{i, i + 1}));
      }
    });
    for (int i = 0; i < 80; ++i) {
      group.barrier();
    }
  });
}

}  // namespace
}  // namespace retape::parallel
