// The variables that a cluster may set for OpenMP and oneDNN: none may change a bit, and threads that are not to be had
// are refused.
#include <gmock/gmock.h>

#include "tests/integration/training_case.h"

namespace retape::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Threads : public TrainingCase {
 protected:
  // Products large enough for oneDNN to share among threads.
  Settings two_steps(const std::string& run, const std::string& threads) const {
    return settings(run) + Settings{"train.steps=2",    "train.eval_every=0", "model.dim=256",
                                    "model.seq_len=64", "train.batch_size=8", "run.threads=" + threads};
  }
};

TEST_F(Threads, NoVariableChangesABit) {
  ASSERT_TRUE(run_trainer(arguments("", two_steps("plain", "2"))).ok());
  int runs = 0;
  for (const std::string variable :
       {"OMP_DYNAMIC=true", "OMP_MAX_ACTIVE_LEVELS=0", "OMP_NESTED=false", "OMP_NUM_THREADS=1", "OMP_NUM_THREADS=5",
        "OMP_THREAD_LIMIT=2", "OMP_PROC_BIND=true", "OMP_PLACES={0}", "OMP_STACKSIZE=16K", "OMP_SCHEDULE=dynamic,1",
        "OMP_CANCELLATION=true", "OMP_WAIT_POLICY=passive", "ONEDNN_DEFAULT_FPMATH_MODE=BF16",
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY=0"}) {
    SCOPED_TRACE(variable);
    const std::string run = "run" + std::to_string(++runs);
    const Exit exit = run_trainer(arguments("", two_steps(run, "2")), {.variables = {variable}});
    ASSERT_TRUE(exit.ok()) << exit.err;
    expect_same_bits("plain", run);
  }
}

TEST_F(Threads, TakesAndSaysWhatIsGranted) {
  ASSERT_TRUE(run_trainer(arguments("", two_steps("one", "1"))).ok());
  for (const std::string variable : {"OMP_THREAD_LIMIT=1", "OMP_NUM_THREADS=1"}) {
    SCOPED_TRACE(variable);
    const Exit exit = run_trainer(arguments("", two_steps(variable, "0")), {.variables = {variable}});
    ASSERT_TRUE(exit.ok()) << exit.err;
    EXPECT_THAT(exit.out, HasSubstr("threads: 1, and no more: " + variable));
    expect_same_bits("one", variable);
  }
}

TEST_F(Threads, RefusesThreadsThatAreNotToBeHad) {
  for (const char* command : {"", "plan"}) {
    const Exit exit = run_trainer(arguments(command, two_steps("run", "2")), {.variables = {"OMP_THREAD_LIMIT=1"}});
    EXPECT_EQ(exit.status, 1);
    EXPECT_EQ(exit.err, "error: [cpu] threads: expected 2, got 1: OMP_THREAD_LIMIT=1 allows no more\n");
  }
}

}  // namespace
}  // namespace retape::integration
