// No collective waits for ever, and none goes wrong in silence.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

#include "nn/base/error.h"
#include "tests/support/no_threads.h"
#include "tests/support/ranks.h"

namespace retape::parallel {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::Each;
using testing::Failures;
using testing::failures_of;
using ::testing::HasSubstr;

TEST(ThreadFailures, AThrowingRankEndsTheOthersAndItsErrorIsKept) {
  const auto body = [](Communicator& communicator) {
    if (communicator.rank() == 2) {
      fail<OutOfMemory>("[allocator] no memory\nparameters 1 GiB");
    }
    communicator.barrier();
  };
  const Failures failures = failures_of(4, body);
  EXPECT_EQ(failures.first, "[allocator] no memory\nparameters 1 GiB");
  for (const int rank : {0, 1, 3}) {
    EXPECT_EQ(failures.ranks[static_cast<std::size_t>(rank)],
              fmt::format("[comm] barrier of rank {} cannot complete: rank 2 failed: [allocator] no memory", rank));
  }
  EXPECT_THROW(run_ranks(4, body), OutOfMemory);
}

TEST(ThreadFailures, ARankThatGetsNoThreadIsNamed) {
  const NoMoreThreads none;
  const Failures failures = failures_of(2, [](Communicator& communicator) { communicator.barrier(); });
  EXPECT_EQ(failures.first, "[comm] rank 0: its thread cannot be started: Resource temporarily unavailable");
}

TEST(ThreadFailures, ReachWhoWaitsInAnotherGroup) {
  const Failures failures = failures_of(4, [](Communicator& world) {
    const std::unique_ptr<Communicator> pair = world.split(world.rank() / 2);
    if (world.rank() == 0) {
      throw std::runtime_error("disk full");
    }
    if (world.rank() != 3) {
      pair->barrier();
      pair->barrier();
    }
    world.barrier();
  });
  EXPECT_EQ(failures.first, "disk full");
  EXPECT_EQ(failures.ranks[0], "disk full");
  for (const std::size_t rank : {1, 2, 3}) {
    EXPECT_THAT(failures.ranks[rank], HasSubstr("rank 0 failed: disk full"));
  }
}

TEST(ThreadFailures, LaterCollectivesFailToo) {
  EXPECT_THROW(run_ranks(2,
                         [](Communicator& communicator) {
                           if (communicator.rank() == 0) {
                             throw std::logic_error("x");
                           }
                           EXPECT_THROW(communicator.barrier(), CommError);
                           EXPECT_THROW(communicator.barrier(), CommError);
                           EXPECT_THROW(communicator.split(0), CommError);
                         }),
               std::logic_error);
}

TEST(ThreadFailures, ThrownThingsThatAreNoExceptionsAreKept) {
  EXPECT_THROW(run_ranks(2,
                         [](Communicator& communicator) {
                           if (communicator.rank() == 0) {
                             throw 42;
                           }
                           communicator.barrier();
                         }),
               int);
}

TEST(ThreadFailures, ARankThatLeavesEarlyIsNamed) {
  const Failures failures = failures_of(3, [](Communicator& communicator) {
    if (communicator.rank() != 1) {
      float value = 0;
      communicator.all_reduce_sum(&value, 1);
    }
  });
  EXPECT_THAT(failures.first, HasSubstr("waits in all_reduce_sum of 4 bytes for rank 1, which has ended"));
  EXPECT_EQ(failures.ranks[1], "");
  EXPECT_THAT(failures.ranks[0], AllOf(HasSubstr("of rank 0"), HasSubstr("for rank 1")));
  EXPECT_THAT(failures.ranks[2], AllOf(HasSubstr("of rank 2"), HasSubstr("for rank 1")));
}

TEST(ThreadFailures, TimeoutNamesTheCollectiveAndWhoIsMissing) {
  std::promise<void> over;
  const std::shared_future<void> others_ended = over.get_future().share();
  const Failures failures = failures_of(
      3,
      [&](Communicator& world) {
        const std::unique_ptr<Communicator> pair = world.split(world.rank() == 1 ? 1 : 0);
        if (world.rank() == 2) {
          others_ended.wait();  // longer than anybody waits
          return;
        }
        if (world.rank() == 1) {
          return;
        }
        int value = 0;
        try {
          pair->broadcast(&value, sizeof(value), 1);
        } catch (...) {
          over.set_value();
          throw;
        }
      },
      milliseconds(30));
  EXPECT_EQ(failures.first, "[comm] rank 0 waited 30 ms in broadcast of 4 bytes from root 1 for rank 2");
  EXPECT_THAT(failures.ranks[0], HasSubstr(failures.first.substr(7)));
}

TEST(ThreadFailures, MismatchedCollectivesFailOnAllRanks) {
  const Failures failures = failures_of(3, [](Communicator& communicator) {
    if (communicator.rank() == 1) {
      communicator.barrier();
    } else {
      std::vector<int> all(3);
      communicator.all_gather(&all[0], all.data(), sizeof(int));
    }
  });
  EXPECT_THAT(failures.first, AllOf(HasSubstr("[comm] the ranks disagree: rank "), HasSubstr("rank 1 calls barrier"),
                                    HasSubstr("calls all_gather of 4 bytes")));
  EXPECT_THAT(failures.ranks, Each(HasSubstr("the ranks disagree")));
}

TEST(ThreadFailures, MismatchedSizesAndRootsFailOnAllRanks) {
  const Failures sizes = failures_of(4, [](Communicator& communicator) {
    std::vector<float> values(3);
    communicator.all_reduce_sum(values.data(), communicator.rank() == 3 ? 2 : 3);
  });
  EXPECT_THAT(sizes.first, AllOf(HasSubstr("rank 3 calls all_reduce_sum of 8 bytes"), HasSubstr("of 12 bytes")));
  EXPECT_THAT(sizes.ranks, Each(HasSubstr("the ranks disagree")));

  const Failures roots = failures_of(2, [](Communicator& communicator) {
    int value = 0;
    communicator.broadcast(&value, sizeof(value), communicator.rank());
  });
  EXPECT_THAT(roots.first, AllOf(HasSubstr("rank 0 calls broadcast of 4 bytes from root 0"),
                                 HasSubstr("rank 1 calls broadcast of 4 bytes from root 1")));
}

TEST(ThreadFailures, AbortEndsTheJob) {
  const Failures failures = failures_of(3, [](Communicator& world) {
    const std::unique_ptr<Communicator> other = world.split(0);
    if (world.rank() == 1) {
      other->abort("the user pressed a key");
      return;
    }
    world.barrier();
  });
  EXPECT_EQ(failures.first, "[comm] rank 1 aborted: the user pressed a key");
  EXPECT_THAT(failures.ranks[0], HasSubstr("rank 1 aborted: the user pressed a key"));
  EXPECT_THAT(failures.ranks[2], HasSubstr("rank 1 aborted: the user pressed a key"));
}

TEST(ThreadFailures, TwoThreadsOnOneCommunicatorAreFound) {
  std::promise<void> over;
  const Failures failures = failures_of(2, [&](Communicator& communicator) {
    if (communicator.rank() == 0) {
      over.get_future().wait();  // so that both threads of rank 1 meet
      return;
    }
    std::jthread first([&] { EXPECT_THROW(communicator.barrier(), CommError); });
    EXPECT_THROW(communicator.barrier(), CommError);
    first.join();
    over.set_value();
  });
  EXPECT_EQ(failures.first, "[comm] rank 1 uses one communicator on two threads at once: barrier and barrier");
}

TEST(ThreadFailures, WrongArguments) {
  EXPECT_THROW(run_ranks(0, [](Communicator&) {}), ConfigError);
  EXPECT_THROW(run_ranks(-1, [](Communicator&) {}), ConfigError);
  EXPECT_THAT(failures_of(2, [](Communicator& c) { c.broadcast(nullptr, 0, 2); }).first,
              HasSubstr("expected a root of 0 to 1, got 2"));
  EXPECT_THAT(failures_of(2, [](Communicator& c) { c.all_gather(nullptr, nullptr, -4); }).first,
              HasSubstr("expected a size of at least 0, got -4"));
}

}  // namespace
}  // namespace retape::parallel
