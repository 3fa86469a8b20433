// Philox4x32-10, a counter-based random generator: bits are a pure function of (seed, offset, element).
//
// Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
#pragma once

#include <array>
#include <cstdint>

#include "nn/base/units.h"
#include "nn/runtime/placement.h"

namespace retape::nn {

using PhiloxCounter = std::array<std::uint32_t, 4>;
using PhiloxKey = std::array<std::uint32_t, 2>;

inline constexpr std::uint32_t kPhiloxMultiplier0 = 0xD2511F53;
inline constexpr std::uint32_t kPhiloxMultiplier1 = 0xCD9E8D57;
inline constexpr std::uint32_t kPhiloxWeyl0 = 0x9E3779B9;
inline constexpr std::uint32_t kPhiloxWeyl1 = 0xBB67AE85;
inline constexpr int kPhiloxRounds = 10;

constexpr PhiloxCounter philox4x32(PhiloxCounter counter, PhiloxKey key) {
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const std::uint64_t product0 = std::uint64_t{kPhiloxMultiplier0} * counter[0];
    const std::uint64_t product1 = std::uint64_t{kPhiloxMultiplier1} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(product0)};
    key[0] += kPhiloxWeyl0;
    key[1] += kPhiloxWeyl1;
  }
  return counter;
}

// Where an op's random bits start. Four elements share one counter value, so offsets count groups of four.
//
// Element e of the range has the 32 bits philox4x32({lo(c), hi(c), 0, 0}, {lo(seed), hi(seed)})[e % 4], c = offset + e
// / 4.
struct RngRange {
  std::uint64_t seed = 0;
  std::uint64_t offset = 0;

  constexpr std::uint32_t bits(Elems element) const {
    const std::uint64_t counter = offset + static_cast<std::uint64_t>(element) / 4;
    const PhiloxCounter block =
        philox4x32({static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32), 0, 0},
                   {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    return block[static_cast<std::size_t>(element % 4)];
  }

  friend bool operator==(const RngRange&, const RngRange&) = default;
};

// The state of a generator is the range that the next draw will get.
using RngState = RngRange;

// Hands out ranges one after the other. Nothing else in it changes, so a state is restored by assignment.
//
// Its placement is `replicated` where all ranks of the tensor-parallel group draw the same from theirs. Nobody can see
// that in one rank's state, so it is a shard, which is safe, unless somebody says otherwise.
class Generator {
 public:
  Generator() = default;
  explicit Generator(RngState state, Placement placement = Placement::shard) : state_(state), placement_(placement) {}

  const RngState& state() const { return state_; }
  void set_state(const RngState& state) { state_ = state; }
  Placement placement() const { return placement_; }

  // The coordinates of `elements` fresh random elements.
  RngRange draw(Elems elements) {
    const RngRange range = state_;
    state_.offset += static_cast<std::uint64_t>(ceil_div(elements, 4));
    return range;
  }

 private:
  RngState state_;
  Placement placement_ = Placement::shard;
};

// An element is dropped with probability p, in [0, 1), when its bits are below this.
constexpr std::uint32_t drop_threshold(float p) {
  return static_cast<std::uint32_t>(static_cast<double>(p) * 4294967296.0);
}

}  // namespace retape::nn
