#include "trainer/memory_plan.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "nn/base/error.h"
#include "tests/support/temp_dir.h"
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

TEST(MemoryPlan, SaysWhatOfADeepSpeedFileHasNoEffect) {
  const TempDir dir;
  const std::string file =
      dir.write("ds.json", R"({activation_checkpointing: {cpu_checkpointing: true, number_checkpoints: 4}})").string();
  const auto notes = [&](const std::vector<std::string>& more) {
    std::vector<std::string> settings{"data.train=text",
                                      "model.layers=1",
                                      "model.heads=1",
                                      "model.dim=8",
                                      "model.seq_len=8",
                                      "activation_checkpointing.policy=full",
                                      "activation_checkpointing.deepspeed_config=" + file};
    settings.insert(settings.end(), more.begin(), more.end());
    return plan_memory(load_config({}, settings), 16).notes;
  };
  EXPECT_THAT(notes({}), testing::ElementsAre("number_checkpoints of " + file +
                                              " does nothing here: contiguous_memory_optimization is off"));
  EXPECT_THAT(notes({"activation_checkpointing.contiguous_memory_optimization=true"}), testing::IsEmpty());
}

}  // namespace
}  // namespace retape::trainer
