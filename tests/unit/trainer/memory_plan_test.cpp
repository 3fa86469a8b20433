#include "trainer/memory_plan.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "nn/base/error.h"
#include "trainer/config_loader.h"

namespace retape::trainer {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(MemoryPlan, CountsWhatIsOffloadedToTheSameMachine) {
  const Bytes has = Bytes{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  MemoryPlan plan;
  plan.stats.peak_reserved = has - 1_MiB;
  EXPECT_NO_THROW(require_machine_has(plan));
  plan.host_peak_bytes = 1_MiB;
  EXPECT_NO_THROW(require_machine_has(plan));
  plan.host_peak_bytes = 2_MiB;
  EXPECT_THAT([&] { require_machine_has(plan); }, ThrowsMessage<OutOfMemory>(HasSubstr("2.0 MiB of it offloaded")));
}

TEST(MemoryPlan, IsForADeviceThatThisBuildHas) {
  const Config config = load_config({}, std::vector<std::string>{"run.device=cuda", "data.train=text"});
  EXPECT_THAT([&] { plan_memory(config, 16); }, ThrowsMessage<DeviceError>(HasSubstr("[device] cuda")));
}

}  // namespace
}  // namespace retape::trainer
