#include "data/files/checksum.h"

#include <algorithm>
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

template <class Word>
std::uint64_t read(const std::byte* from) {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

std::uint64_t mix(std::uint64_t lane, std::uint64_t word) {
  return std::rotl(lane + word * kPrime2, 31) * kPrime1;
}

using Lanes = std::array<std::uint64_t, 4>;

// Four independent lanes, so that the multiplications overlap. `bytes` are whole stripes.
Lanes mix_stripes(Lanes lanes, std::span<const std::byte> bytes) {
  auto [lane0, lane1, lane2, lane3] = lanes;
  const std::byte* const end = bytes.data() + bytes.size();
  for (const std::byte* at = bytes.data(); at != end; at += 32) {
    lane0 = mix(lane0, read<std::uint64_t>(at));
    lane1 = mix(lane1, read<std::uint64_t>(at + 8));
    lane2 = mix(lane2, read<std::uint64_t>(at + 16));
    lane3 = mix(lane3, read<std::uint64_t>(at + 24));
  }
  return {lane0, lane1, lane2, lane3};
}

std::uint64_t joined(const Lanes& lanes) {
  std::uint64_t hash =
      std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18);
  for (const std::uint64_t lane : lanes) {
    hash = (hash ^ mix(0, lane)) * kPrime1 + kPrime4;
  }
  return hash;
}

}  // namespace

Checksum::Checksum() : lanes_{kPrime1 + kPrime2, kPrime2, 0, 0 - kPrime1} {}

void Checksum::add(std::span<const std::byte> bytes) {
  bytes_ += bytes.size();
  if (rest_bytes_ > 0) {
    const auto more = bytes.first(std::min(bytes.size(), kStripeBytes - rest_bytes_));
    std::copy(more.begin(), more.end(), rest_.begin() + rest_bytes_);
    rest_bytes_ += more.size();
    bytes = bytes.subspan(more.size());
    if (rest_bytes_ < kStripeBytes) {
      return;
    }
    lanes_ = mix_stripes(lanes_, rest_);
  }
  const std::size_t whole = bytes.size() / kStripeBytes * kStripeBytes;
  lanes_ = mix_stripes(lanes_, bytes.first(whole));
  const auto rest = bytes.subspan(whole);
  std::copy(rest.begin(), rest.end(), rest_.begin());
  rest_bytes_ = rest.size();
}

std::uint64_t Checksum::value() const {
  const std::byte* at = rest_.data();
  const std::byte* const end = at + rest_bytes_;
  std::uint64_t hash = bytes_ >= kStripeBytes ? joined(lanes_) : kPrime5;
  hash += bytes_;
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

std::uint64_t checksum(std::span<const std::byte> bytes) {
  Checksum sum;
  sum.add(bytes);
  return sum.value();
}

}  // namespace retape::data
