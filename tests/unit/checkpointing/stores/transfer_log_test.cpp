#include "checkpointing/stores/transfer_log.h"

#include <gtest/gtest.h>

namespace retape::checkpointing {
namespace {

using std::chrono::nanoseconds;

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
