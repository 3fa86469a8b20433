#include "nn/runtime/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <string>

#include "nn/base/error.h"
#include "nn/runtime/cpu/machine.h"
#include "nn/runtime/cuda/open.h"

namespace retape::nn {
namespace {

using ::testing::HasSubstr;

TEST(Device, KindsHaveNames) {
  EXPECT_EQ(name(DeviceKind::cpu), "cpu");
  EXPECT_EQ(name(DeviceKind::cuda), "cuda");
  EXPECT_EQ(name(DeviceKind::meta), "meta");
}

TEST(Device, OnlyMetaDoesNotCompute) {
  const Device cpu({.kind = DeviceKind::cpu, .threads = 1});
  const Device meta({.kind = DeviceKind::meta, .threads = 1});
  EXPECT_EQ(cpu.kind(), DeviceKind::cpu);
  EXPECT_TRUE(cpu.computes());
  EXPECT_EQ(meta.kind(), DeviceKind::meta);
  EXPECT_FALSE(meta.computes());
}

TEST(Device, TheCpuTakesTheThreadsItIsGiven) {
  Device device({.threads = 3});
  EXPECT_EQ(device.cpu().threads(), 3);
  Device all({});
  EXPECT_GE(all.cpu().threads(), 1);
  EXPECT_THROW(Device({.threads = -1}), ConfigError);
}

TEST(Device, TheCpuCopiesAndClears) {
  Device device({.threads = 1});
  const std::array<std::byte, 3> values{std::byte{1}, std::byte{2}, std::byte{3}};
  Allocator::Block* a = device.memory().allocate(3, Tag::activations);
  Allocator::Block* b = device.memory().allocate(3, Tag::activations);
  std::array<std::byte, 3> back{};
  device.copy_from_host(Allocator::address(a), values.data(), 3);
  device.copy(Allocator::address(b), Allocator::address(a), 3);
  device.copy_to_host(back.data(), Allocator::address(b), 3);
  EXPECT_EQ(back, values);
  device.fill_zero(Allocator::address(b), 2);
  device.copy_to_host(back.data(), Allocator::address(b), 3);
  EXPECT_EQ(back, (std::array<std::byte, 3>{std::byte{0}, std::byte{0}, std::byte{3}}));
}

// Its addresses are made up: reading or writing one would crash.
TEST(Device, MetaTouchesNoMemory) {
  Device device({.kind = DeviceKind::meta, .threads = 1});
  std::array<std::byte, 3> host{std::byte{1}, std::byte{2}, std::byte{3}};
  void* memory = Allocator::address(device.memory().allocate(1024_GiB, Tag::activations));
  EXPECT_NE(memory, nullptr);
  device.copy_from_host(memory, host.data(), 3);
  device.copy(memory, memory, 1024_GiB);
  device.fill_zero(memory, 1024_GiB);
  device.copy_to_host(host.data(), memory, 3);
  EXPECT_EQ(host[2], std::byte{3});
}

TEST(Device, ALimitHoldsOnEveryDevice) {
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::meta}) {
    Device device({.kind = kind, .threads = 1, .memory_limit = 3_MiB});
    device.memory().allocate(1_MiB, Tag::parameters);
    try {
      device.memory().allocate(5_MiB, Tag::gradients);
      ADD_FAILURE() << "expected OutOfMemory on " << name(kind);
    } catch (const OutOfMemory& error) {
      EXPECT_THAT(error.what(), HasSubstr("[" + std::string(name(kind)) + "] out of memory: 5.0 MiB"));
      EXPECT_THAT(error.what(), HasSubstr("limit of 3.0 MiB"));
    }
    EXPECT_EQ(device.memory().stats().reserved, 1_MiB);
    EXPECT_NO_THROW(device.memory().allocate(2_MiB, Tag::gradients));
    EXPECT_EQ(device.memory().stats().reserved, 3_MiB);
  }
}

TEST(Device, ItsMemoryMayHaveAName) {
  Device device({.threads = 1, .memory_limit = 1_MiB, .memory_name = "host"});
  try {
    device.memory().allocate(2_MiB, Tag::checkpoints);
    ADD_FAILURE() << "expected OutOfMemory";
  } catch (const OutOfMemory& error) {
    EXPECT_THAT(error.what(), HasSubstr("[host] out of memory: 2.0 MiB"));
  }
}

TEST(Device, WithoutCudaItSaysSoInOneLine) {
  if (cuda::why_unavailable().empty()) {
    GTEST_SKIP() << "CUDA is here";
  }
  for (const DeviceOptions& options : {DeviceOptions{.kind = DeviceKind::cuda},
                                       DeviceOptions{.kind = DeviceKind::meta, .modelled = DeviceKind::cuda}}) {
    try {
      const Device device(options);
      ADD_FAILURE() << "expected DeviceError";
    } catch (const DeviceError& error) {
      EXPECT_THAT(error.what(), HasSubstr("[device] cuda: "));
      EXPECT_THAT(error.what(), HasSubstr("run.device"));
      EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("\n")));
    }
  }
}

}  // namespace
}  // namespace retape::nn
