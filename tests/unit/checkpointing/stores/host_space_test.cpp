#include "checkpointing/stores/host_space.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <string_view>
#include <vector>

#include "nn/base/error.h"
#include "nn/runtime/cpu/machine.h"

namespace retape::checkpointing {
namespace {

TEST(HostSpace, LeavesTheNumberOfThreadsAsItIs) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(5);
  nn::Device device({.threads = 3});
  const HostSpace space(device, std::nullopt, nullptr);
  EXPECT_EQ(omp_get_max_threads(), 5);
  EXPECT_EQ(device.cpu().threads(), 3);
  omp_set_num_threads(before);
}

TEST(HostSpace, KeepsAccountsOfItsOwn) {
  nn::Device device({.threads = 1});
  HostSpace space(device, std::nullopt, nullptr);
  const nn::Tensor tensor(space.device(), {100}, nn::DType::f32, nn::Tag::checkpoints);
  EXPECT_EQ(space.stats().live, 512);
  EXPECT_EQ(device.memory().stats().live, 0);
}

TEST(HostSpace, IsCalledTheHostWhereItHasNoRoom) {
  for (const nn::DeviceKind kind : {nn::DeviceKind::cpu, nn::DeviceKind::meta}) {
    nn::Device device({.kind = kind, .threads = 1});
    HostSpace space(device, 1000, nullptr);
    try {
      const nn::Tensor tensor(space.device(), {1000}, nn::DType::f32, nn::Tag::checkpoints);
      ADD_FAILURE() << "expected OutOfMemory";
    } catch (const OutOfMemory& error) {
      EXPECT_EQ(std::string_view(error.what()).substr(0, 20), "[host] out of memory");
    }
  }
}

TEST(HostSpace, IsPlannedWhereTheDeviceIs) {
  nn::Device device({.kind = nn::DeviceKind::meta, .threads = 1});
  HostSpace space(device, std::nullopt, nullptr);
  EXPECT_FALSE(space.device().computes());
}

TEST(HostSpace, WarnsOnceWhenItIsFull) {
  for (const nn::DeviceKind kind : {nn::DeviceKind::cpu, nn::DeviceKind::meta}) {
    nn::Device device({.kind = kind, .threads = 1});
    std::vector<std::string> warnings;
    HostSpace space(device, 1000, [&](const std::string& text) { warnings.push_back(text); });
    const auto try_bytes = [&](Bytes bytes) {
      return space.try_allocate(
          [&] { return nn::Tensor(space.device(), {bytes / 4}, nn::DType::f32, nn::Tag::checkpoints); },
          {.what = "the contiguous buffer", .bytes = bytes, .value = "h.4: x"});
    };
    const nn::Tensor fits = try_bytes(512);
    EXPECT_TRUE(fits.defined());
    EXPECT_FALSE(try_bytes(768).defined());
    EXPECT_FALSE(try_bytes(4096).defined());
    EXPECT_EQ(warnings, std::vector<std::string>{
                            "[checkpointing] host memory is exhausted: the contiguous buffer of 768 B does not fit "
                            "beside the 512 B in use within the limit of 1000 B; h.4: x stays on the device, as will "
                            "others"});
  }
}

}  // namespace
}  // namespace retape::checkpointing
