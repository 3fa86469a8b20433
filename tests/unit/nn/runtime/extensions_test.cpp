#include "nn/runtime/cpu/extensions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nn/base/error.h"

namespace retape::nn::cpu {
namespace {

using ::testing::ThrowsMessage;

TEST(Extensions, ThisProcessorHasWhatItsKernelsNeed) {
  EXPECT_NO_THROW(require_extensions(extensions_of_kernels(), extensions_of_processor()));
}

TEST(Extensions, TheFirstThatIsMissingIsNamedInOneLine) {
  if (extensions_of_processor() == 0) {
    GTEST_SKIP() << "nothing is known of this processor";
  }
  EXPECT_NO_THROW(require_extensions(0, 0));
  EXPECT_NO_THROW(require_extensions(kAvx2 | kFma, kAvx | kAvx2 | kFma));
  EXPECT_THAT([] { require_extensions(kAvx2 | kAvx512f | kAvx512bf16, kAvx2); },
              ThrowsMessage<DeviceError>("[cpu] kernels: expected a processor with avx512f, which they were compiled "
                                         "for, got one without; rebuild on this machine"));
  EXPECT_THAT([] { require_extensions(kAvx512f | kAvx512fp16, kAvx512f); },
              ThrowsMessage<DeviceError>(::testing::HasSubstr("avx512fp16")));
}

}  // namespace
}  // namespace retape::nn::cpu
