#include "nn/runtime/cpu/side_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <future>
#include <stdexcept>
#include <string>
#include <vector>

#include "nn/base/error.h"
#include "nn/runtime/cpu/host_stream.h"
#include "tests/support/no_threads.h"

namespace retape::nn::cpu {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

TEST(SideStream, RunsTasksInOrderOnAThreadOfItsOwn) {
  SideStream stream;
  std::vector<int> order;
  std::thread::id worker;
  for (int i = 0; i < 100; ++i) {
    stream.run([&, i] {
      order.push_back(i);
      worker = std::this_thread::get_id();
    });
  }
  stream.record().synchronize();
  ASSERT_EQ(order.size(), 100U);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_NE(worker, std::this_thread::get_id());
}

TEST(SideStream, CopiesAndFillsInOrder) {
  SideStream stream;
  std::array<char, 4> from{'a', 'b', 'c', 'd'};
  std::array<char, 4> to{};
  stream.copy(to.data(), from.data(), 4);
  stream.fill_zero(to.data(), 2);
  stream.copy(nullptr, nullptr, 0);
  HostStream().wait(stream.record());
  EXPECT_EQ(to, (std::array<char, 4>{0, 0, 'c', 'd'}));
}

TEST(SideStream, APointCoversWhatCameBeforeItAndNothingElse) {
  SideStream stream;
  std::promise<void> go;
  int value = 0;
  stream.run([&] { value = 1; });
  const Event first = stream.record();
  stream.run([&] { go.get_future().wait(); });
  const Event second = stream.record();
  first.synchronize();
  EXPECT_EQ(value, 1);
  EXPECT_TRUE(first.is_reached_within(milliseconds(0)));
  EXPECT_FALSE(second.is_reached_within(milliseconds(1)));
  go.set_value();
  second.finish();
  EXPECT_TRUE(second.is_reached_within(milliseconds(0)));
}

TEST(SideStream, WaitsForThePointsOfOthers) {
  SideStream first;
  SideStream second;
  std::promise<void> go;
  std::atomic<int> value = 0;
  first.run([&] {
    go.get_future().wait();
    value = 1;
  });
  second.wait(first.record());
  int seen = -1;
  second.run([&] { seen = value; });
  go.set_value();
  second.record().synchronize();
  EXPECT_EQ(seen, 1);
}

TEST(SideStream, TellsTheTimeBetweenTwoPoints) {
  SideStream stream;
  const Event begin = stream.record();
  stream.run([] { std::this_thread::sleep_for(milliseconds(2)); });
  const Event end = stream.record();
  end.synchronize();
  EXPECT_GE(Event::between(begin, end), milliseconds(2));
  EXPECT_EQ(Event::between(Event(), end), nanoseconds(0)) << "of a point that nobody recorded";
}

TEST(SideStream, TheFirstFailureEndsIt) {
  SideStream stream;
  bool ran = false;
  stream.run([] {});
  const Event good = stream.record();
  stream.run([] { throw std::runtime_error("first"); });
  const Event bad = stream.record();
  stream.run([&] {
    ran = true;
    throw std::runtime_error("second");
  });
  const Event after = stream.record();
  EXPECT_NO_THROW(good.synchronize());
  for (const Event& point : {after, bad, after}) {
    try {
      HostStream().wait(point);
      ADD_FAILURE() << "expected the failure";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "first");
    }
  }
  EXPECT_FALSE(ran);
  EXPECT_NO_THROW(after.finish());
  EXPECT_THROW(stream.record().synchronize(), std::runtime_error);
}

TEST(SideStream, EndsWhenAllIsDoneAndItsPointsOutliveIt) {
  std::atomic<int> runs = 0;
  Event last;
  {
    SideStream stream;
    for (int i = 0; i < 10; ++i) {
      stream.run([&] { ++runs; });
    }
    last = stream.record();
  }
  EXPECT_EQ(runs, 10);
  EXPECT_NO_THROW(last.synchronize());
}

TEST(SideStream, SaysThatThereIsNoThreadForIt) {
  SideStream stream;
  try {
    const NoMoreThreads none;
    stream.run([] {});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "[transfer] the thread for copies cannot be started: Resource temporarily unavailable");
  }
  stream.record().synchronize();
}

}  // namespace
}  // namespace retape::nn::cpu
