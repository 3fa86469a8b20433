#include "nn/runtime/philox.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <set>

namespace retape::nn {
namespace {

constexpr std::uint32_t kOnes = 0xffffffff;

// The known answers that Random123 publishes for philox4x32 with ten rounds.
static_assert(philox4x32({0, 0, 0, 0}, {0, 0}) == PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
static_assert(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}) ==
              PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
static_assert(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
              PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});

TEST(RngRange, FourElementsShareOneCounter) {
  const RngRange range{.seed = 0x0123456789abcdef, .offset = 7};
  for (Elems e = 0; e < 12; ++e) {
    const PhiloxCounter block = philox4x32({7 + static_cast<std::uint32_t>(e / 4), 0, 0, 0}, {0x89abcdef, 0x01234567});
    EXPECT_EQ(range.bits(e), block[static_cast<std::size_t>(e % 4)]) << e;
  }
}

TEST(RngRange, OffsetsHave64Bits) {
  const RngRange range{.seed = 0, .offset = kOnes};
  EXPECT_EQ(range.bits(3), philox4x32({kOnes, 0, 0, 0}, {0, 0})[3]);
  EXPECT_EQ(range.bits(4), philox4x32({0, 1, 0, 0}, {0, 0})[0]);
  // An element far inside a range is the first of a range that starts there.
  const Elems far = Elems{1} << 40;
  EXPECT_EQ(range.bits(far), (RngRange{0, kOnes + (std::uint64_t{1} << 38)}).bits(0));
}

TEST(RngRange, OtherSeedsAndOffsetsGiveOtherBits) {
  std::set<std::uint32_t> seen;
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 32}) {
    for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 32}) {
      seen.insert(RngRange{seed, offset}.bits(0));
    }
  }
  EXPECT_EQ(seen.size(), 9U);
}

TEST(Generator, HandsOutRangesThatFollowEachOther) {
  Generator generator(RngState{.seed = 5, .offset = 10});
  EXPECT_EQ(generator.draw(8), (RngRange{5, 10}));
  EXPECT_EQ(generator.draw(5), (RngRange{5, 12}));  // two elements of the last four go to waste
  EXPECT_EQ(generator.draw(0), (RngRange{5, 14}));
  EXPECT_EQ(generator.draw(1), (RngRange{5, 14}));
  EXPECT_EQ(generator.state(), (RngState{5, 15}));
}

TEST(Generator, ARestoredStateDrawsTheSameAgain) {
  Generator generator(RngState{.seed = 5, .offset = 0});
  generator.draw(100);
  const RngState state = generator.state();
  const RngRange first = generator.draw(9);
  generator.draw(1000);
  generator.set_state(state);
  EXPECT_EQ(generator.draw(9), first);
  EXPECT_EQ(Generator(state).draw(9), first);
}

static_assert(drop_threshold(0) == 0);
static_assert(drop_threshold(0.25F) == std::uint32_t{1} << 30);
static_assert(drop_threshold(0.5F) == std::uint32_t{1} << 31);
static_assert(drop_threshold(0.99999994F) == kOnes - 255);  // the largest float below 1

TEST(DropThreshold, DropsTheShareThatWasAskedFor) {
  constexpr Elems kElems = 400'000;
  for (const float p : {0.001F, 0.1F, 0.2F, 0.5F, 0.9F}) {
    const RngRange range{.seed = 42, .offset = 1000};
    Elems dropped = 0;
    for (Elems e = 0; e < kElems; ++e) {
      dropped += range.bits(e) < drop_threshold(p) ? 1 : 0;
    }
    const double sigma = std::sqrt(kElems * double{p} * (1 - double{p}));
    EXPECT_NEAR(static_cast<double>(dropped), kElems * double{p}, 5 * sigma) << p;
  }
}

}  // namespace
}  // namespace retape::nn
