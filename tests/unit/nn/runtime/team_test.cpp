#include "nn/runtime/cpu/team.h"

#include <gmock/gmock.h>
#include <omp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <thread>

#include "nn/base/error.h"
#include "nn/runtime/cpu/machine.h"

namespace retape::nn::cpu {
namespace {

int threads_of_a_region() {
  int threads = 0;
#pragma omp parallel
  {
#pragma omp single
    threads = omp_get_num_threads();
  }
  return threads;
}

// In a thread of its own, whose settings are nobody else's.
template <class F>
void in_a_thread(F f) {
  std::thread(f).join();
}

TEST(Team, HasItsThreadsWhateverTheProgramHasSet) {
  in_a_thread([] {
    omp_set_num_threads(1);
    omp_set_dynamic(1);
    omp_set_max_active_levels(0);
    {
      const Team team(3);
      EXPECT_EQ(threads_of_a_region(), 3);
      const Team inner(2);
      EXPECT_EQ(threads_of_a_region(), 2);
    }
    EXPECT_EQ(omp_get_max_threads(), 1);
    EXPECT_NE(omp_get_dynamic(), 0);
    EXPECT_EQ(omp_get_max_active_levels(), 0);
  });
}

TEST(Team, IsOneThreadInsideARegion) {
  int refused = 0;
#pragma omp parallel num_threads(2) reduction(+ : refused)
  {
    const Team one(1);
    try {
      const Team two(2);
    } catch (const DeviceError&) {
      ++refused;
    }
  }
  EXPECT_EQ(refused, 2);
}

TEST(GrantThreads, GivesWhatIsWanted) {
  in_a_thread([] {
    omp_set_dynamic(1);
    omp_set_max_active_levels(0);
    for (const int wanted : {1, 2, 5}) {
      const Grant grant = grant_threads(wanted);
      EXPECT_EQ(grant.threads, wanted);
      EXPECT_EQ(grant.limit, "");
    }
  });
}

TEST(GrantThreads, TakesNoMoreThanTheProgramHasSetByDefault) {
  in_a_thread([] {
    omp_set_num_threads(omp_get_num_procs() + 1);
    EXPECT_EQ(grant_threads(0).threads, omp_get_num_procs());
    omp_set_num_threads(1);
    EXPECT_EQ(grant_threads(0).threads, 1);
  });
}

// In a process of its own, as a user who may start one thread, the first.
void open_machine_where_no_thread_can_be_started() {
  const rlimit one{.rlim_cur = 1, .rlim_max = 1};
  constexpr uid_t kNobody = 65534;
  if (setrlimit(RLIMIT_NPROC, &one) != 0 || (getuid() == 0 && setuid(kNobody) != 0)) {
    _exit(1);
  }
  try {
    const Machine machine(4);
  } catch (const ConfigError& error) {
    fputs(error.what(), stderr);
    _exit(7);
  }
  _exit(0);
}

TEST(MachineDeathTest, RefusesThreadsThatCannotBeStarted) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(open_machine_where_no_thread_can_be_started(), testing::ExitedWithCode(7),
              testing::HasSubstr("[cpu] threads: expected 4, got 1: Resource temporarily unavailable allows no more"));
}

}  // namespace
}  // namespace retape::nn::cpu
