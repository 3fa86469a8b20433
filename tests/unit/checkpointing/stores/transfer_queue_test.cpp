#include "checkpointing/stores/transfer_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <string>
#include <vector>

#include "checkpointing/stores/transfer_log.h"
#include "nn/base/error.h"
#include "tests/support/no_threads.h"

namespace retape::checkpointing {
namespace {

using std::chrono::nanoseconds;

TEST(TransferQueue, RunsTasksInOrderOnAThreadOfItsOwn) {
  TransferQueue queue;
  std::vector<int> order;
  std::thread::id worker;
  TransferQueue::Ticket last = TransferQueue::kNothing;
  for (int i = 0; i < 100; ++i) {
    last = queue.submit([&, i] {
      order.push_back(i);
      worker = std::this_thread::get_id();
    });
  }
  queue.wait(last);
  ASSERT_EQ(order.size(), 100U);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_NE(worker, std::this_thread::get_id());
}

TEST(TransferQueue, AWaitCoversWhatCameBefore) {
  TransferQueue queue;
  int value = 0;
  queue.submit([&] { value = 1; });
  const auto second = queue.submit([&] { value += 1; });
  queue.wait(second);
  EXPECT_EQ(value, 2);
  queue.wait(TransferQueue::kNothing);
}

TEST(TransferQueue, TellsATasksTimeOnce) {
  TransferQueue queue;
  const auto ticket = queue.submit([] { std::this_thread::sleep_for(std::chrono::milliseconds(2)); });
  EXPECT_GE(queue.wait(ticket), std::chrono::milliseconds(2));
  EXPECT_EQ(queue.wait(ticket), nanoseconds(0));
  EXPECT_EQ(queue.wait(TransferQueue::kNothing), nanoseconds(0));
}

TEST(TransferQueue, SaysThatATaskIsNotDone) {
  TransferQueue queue;
  std::promise<void> go;
  const auto ticket = queue.submit([&] { go.get_future().wait(); });
  EXPECT_FALSE(queue.finishes_within(std::chrono::milliseconds(1), ticket));
  go.set_value();
  queue.finish(ticket);
  EXPECT_TRUE(queue.finishes_within(std::chrono::milliseconds(1), ticket));
}

TEST(TransferQueue, TheFirstFailureEndsIt) {
  TransferQueue queue;
  bool ran = false;
  const auto good = queue.submit([] {});
  const auto bad = queue.submit([] { throw std::runtime_error("first"); });
  const auto after = queue.submit([&] {
    ran = true;
    throw std::runtime_error("second");
  });
  EXPECT_NO_THROW(queue.wait(good));
  for (const auto ticket : {after, bad, after}) {
    try {
      queue.wait(ticket);
      ADD_FAILURE() << "expected the failure";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "first");
    }
  }
  EXPECT_FALSE(ran);
  EXPECT_NO_THROW(queue.finish(after));
  EXPECT_THROW(queue.drain(), std::runtime_error);
}

TEST(TransferQueue, EndsWhenAllIsDone) {
  std::atomic<int> runs = 0;
  {
    TransferQueue queue;
    for (int i = 0; i < 10; ++i) {
      queue.submit([&] { ++runs; });
    }
  }
  EXPECT_EQ(runs, 10);
  TransferQueue queue;
  queue.submit([&] { ++runs; });
  queue.drain();
  EXPECT_EQ(runs, 11);
}

TEST(TransferQueue, SaysThatThereIsNoThreadForIt) {
  TransferQueue queue;
  try {
    const NoMoreThreads none;
    queue.submit([] {});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "[transfer] the thread for copies cannot be started: Resource temporarily unavailable");
  }
  queue.drain();
}

TEST(TransferLog, SumsByRegionInOrderOfAppearance) {
  TransferLog log;
  log.book_offloaded("h.1", 100);
  log.book_copy("h.0", nanoseconds(5));
  log.book_copy("h.1", nanoseconds(7));
  log.book_gather("h.1", nanoseconds(2));
  log.book_gather("h.1", nanoseconds(1));
  ASSERT_EQ(log.records().size(), 2U);
  EXPECT_EQ(log.records()[0].region, "h.1");
  EXPECT_EQ(log.records()[0].gather, nanoseconds(3));
  EXPECT_EQ(log.records()[0].copy, nanoseconds(7));
  EXPECT_EQ(log.records()[0].offloaded, 100);
  EXPECT_EQ(log.records()[1].region, "h.0");
  EXPECT_EQ(log.total().copy, nanoseconds(12));
  EXPECT_EQ(log.total().gather, nanoseconds(3));
  EXPECT_EQ(log.total().offloaded, 100);
  log.clear();
  EXPECT_TRUE(log.records().empty());
}

}  // namespace
}  // namespace retape::checkpointing
