#include "data/files/checksum.h"

#include <bit>
#include <cstring>
#include <initializer_list>

namespace retape::data {
namespace {

static_assert(std::endian::native == std::endian::little, "the algorithm reads little-endian words");

constexpr std::uint64_t kPrime1 = 0x9E3779B185EBCA87;
constexpr std::uint64_t kPrime2 = 0xC2B2AE3D27D4EB4F;
constexpr std::uint64_t kPrime3 = 0x165667B19E3779F9;
constexpr std::uint64_t kPrime4 = 0x85EBCA77C2B2AE63;
constexpr std::uint64_t kPrime5 = 0x27D4EB2F165667C5;

constexpr std::size_t kStripeBytes = 32;

template <class Word>
std::uint64_t read(const std::byte* from) {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

std::uint64_t mix(std::uint64_t lane, std::uint64_t word) {
  return std::rotl(lane + word * kPrime2, 31) * kPrime1;
}

// Consumes all whole stripes: four independent lanes, so that the multiplications overlap.
std::uint64_t mix_stripes(const std::byte*& at, const std::byte* end) {
  std::uint64_t lane0 = kPrime1 + kPrime2;
  std::uint64_t lane1 = kPrime2;
  std::uint64_t lane2 = 0;
  std::uint64_t lane3 = 0 - kPrime1;
  for (; static_cast<std::size_t>(end - at) >= kStripeBytes; at += kStripeBytes) {
    lane0 = mix(lane0, read<std::uint64_t>(at));
    lane1 = mix(lane1, read<std::uint64_t>(at + 8));
    lane2 = mix(lane2, read<std::uint64_t>(at + 16));
    lane3 = mix(lane3, read<std::uint64_t>(at + 24));
  }
  std::uint64_t hash = std::rotl(lane0, 1) + std::rotl(lane1, 7) + std::rotl(lane2, 12) + std::rotl(lane3, 18);
  for (const std::uint64_t lane : {lane0, lane1, lane2, lane3}) {
    hash = (hash ^ mix(0, lane)) * kPrime1 + kPrime4;
  }
  return hash;
}

}  // namespace

std::uint64_t checksum(std::span<const std::byte> bytes) {
  const std::byte* at = bytes.data();
  const std::byte* const end = at + bytes.size();
  std::uint64_t hash = bytes.size() >= kStripeBytes ? mix_stripes(at, end) : kPrime5;
  hash += bytes.size();
  for (; end - at >= 8; at += 8) {
    hash = std::rotl(hash ^ mix(0, read<std::uint64_t>(at)), 27) * kPrime1 + kPrime4;
  }
  for (; end - at >= 4; at += 4) {
    hash = std::rotl(hash ^ (read<std::uint32_t>(at) * kPrime1), 23) * kPrime2 + kPrime3;
  }
  for (; at != end; ++at) {
    hash = std::rotl(hash ^ (read<std::uint8_t>(at) * kPrime5), 11) * kPrime1;
  }
  hash = (hash ^ (hash >> 33)) * kPrime2;
  hash = (hash ^ (hash >> 29)) * kPrime3;
  return hash ^ (hash >> 32);
}

}  // namespace retape::data
