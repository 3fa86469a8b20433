#include "parallel/comm/communicator.h"

#include <gtest/gtest.h>

#include "nn/base/error.h"

namespace retape::parallel {
namespace {

TEST(Communicator, SelfIsTheOnlyRank) {
  const std::unique_ptr<Communicator> self = open_self();
  EXPECT_EQ(self->rank(), 0);
  EXPECT_EQ(self->size(), 1);
}

TEST(Communicator, AbsentBackendsSayWhy) {
  const std::unique_ptr<Communicator> self = open_self();
  if (const std::string reason = mpi::why_unavailable(); !reason.empty()) {
    EXPECT_THROW(mpi::open(), CommError);
  }
  if (const std::string reason = nccl::why_unavailable(); !reason.empty()) {
    EXPECT_THROW(nccl::open(*self), CommError);
  }
}

}  // namespace
}  // namespace retape::parallel
