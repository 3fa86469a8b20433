#include "data/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numbers>
#include <numeric>
#include <utility>

#include "data/files/json.h"
#include "nn/base/error.h"

namespace retape::data {
namespace {

// SplitMix64: a counter that moves by an odd constant, and a bijective mix of it.
// Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"; mix13 of Stafford.
constexpr std::uint64_t kGamma = 0x9E3779B97F4A7C15;

constexpr std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

// Half the range, so that no run can count past the end.
constexpr std::int64_t kMaxPosition = std::numeric_limits<std::int64_t>::max() / 2;

// Uniform in [0, bound) and a pure function of (seed, index).
std::uint64_t uniform_below(std::uint64_t bound, std::uint64_t seed, std::uint64_t index) {
  std::uint64_t bits = mix(mix(seed + kGamma) + (index + 1) * kGamma);
  // 2^64 mod bound: without that many values, every remainder is left equally often.
  const std::uint64_t excess = (0 - bound) % bound;
  while (bits < excess) {
    bits = mix(bits + kGamma);
  }
  return bits % bound;
}

// The step that spreads the multiples of itself most evenly over [0, count), whichever of them one stops at: next to
// the golden section of count, and coprime to it, so that count of them visit every number once.
// Source: Niederreiter 1992, "Random number generation and quasi-Monte Carlo methods", section 5.
std::uint64_t even_stride(std::uint64_t count) {
  auto stride = std::max<std::uint64_t>(1, std::llround(static_cast<double>(count) * (std::numbers::phi - 1)));
  while (std::gcd(stride, count) != 1) {
    ++stride;
  }
  return stride;
}

}  // namespace

std::string_view to_string(Order order) {
  return order == Order::kRandom ? "random" : "sequential";
}

std::string to_json(const SamplerState& state) {
  return nlohmann::json{{"order", to_string(state.order)}, {"seed", state.seed}, {"position", state.position}}.dump();
}

SamplerState sampler_state_from_json(std::string_view text) {
  const nlohmann::json json = parse_json(text, "[sampler] state");
  require<DataError>(json.is_object(), "[sampler] state: expected a JSON object, got {}", shown(json));
  const auto field = [&](const char* name) { return json.value(name, nlohmann::json()); };
  const nlohmann::json order = field("order");
  const nlohmann::json seed = field("seed");
  const nlohmann::json position = field("position");
  require<DataError>(order == "random" || order == "sequential",
                     "[sampler] state: order: expected \"random\" or \"sequential\", got {}", shown(order));
  require<DataError>(seed.is_number_unsigned(), "[sampler] state: seed: expected an unsigned integer, got {}",
                     shown(seed));
  require<DataError>(position.is_number_unsigned() && position.get<std::uint64_t>() <= kMaxPosition,
                     "[sampler] state: position: expected a count of rows, got {}", shown(position));
  return {order == "random" ? Order::kRandom : Order::kSequential, seed.get<std::uint64_t>(),
          position.get<std::int64_t>()};
}

Sampler::Sampler(TokenStream tokens, const SamplerConfig& config)
    : tokens_(std::move(tokens)), config_(config), state_{config.order, config.seed, 0} {
  check_batching(tokens_, config_.batch_size, config_.seq_len, config_.slice);
  const std::int64_t global_rows = config_.batch_size * config_.slice.ranks;
  require<DataError>(config_.order == Order::kRandom || global_rows <= (tokens_.size() - 1) / config_.seq_len,
                     "[sampler] tokens: expected at least {} for a sequential batch of {} x {}, got {}",
                     global_rows * config_.seq_len + 1, global_rows, config_.seq_len, tokens_.size());
}

void Sampler::next(Batch& batch) {
  const std::int64_t global_rows = config_.batch_size * config_.slice.ranks;
  if (config_.order == Order::kSequential) {
    const std::int64_t whole_rows = (tokens_.size() - 1) / config_.seq_len;
    if (state_.position > whole_rows - global_rows) {
      state_.position = 0;
    }
  }
  batch.resize(config_.batch_size, config_.seq_len);
  const std::int64_t first = state_.position + config_.slice.rank * config_.batch_size;
  for (std::int64_t row = 0; row < config_.batch_size; ++row) {
    batch.set_row(row, tokens_, row_start(first + row));
  }
  state_.position += global_rows;
}

void Sampler::restore(const SamplerState& state) {
  require<ConfigError>(state.order == config_.order, "[sampler] order: the saved state is {}, the setting is {}",
                       to_string(state.order), to_string(config_.order));
  require<DataError>(state.position >= 0 && state.position <= kMaxPosition,
                     "[sampler] position: expected a count of rows, got {}", state.position);
  state_ = state;
}

std::int64_t Sampler::row_start(std::int64_t row) const {
  if (config_.order == Order::kSequential) {
    return row * config_.seq_len;
  }
  // An epoch starts at one of `offsets` positions, and its rows leave at most two rows' tokens out.
  const std::int64_t starts = tokens_.size() - config_.seq_len;
  const std::int64_t rows = std::max<std::int64_t>(1, starts / config_.seq_len);
  const std::int64_t offsets = starts - (rows - 1) * config_.seq_len;
  const auto count = static_cast<std::uint64_t>(rows);
  const auto epoch = static_cast<std::uint64_t>(row / rows);
  const std::uint64_t offset = uniform_below(static_cast<std::uint64_t>(offsets), state_.seed, epoch);
  const std::uint64_t first = uniform_below(count, mix(state_.seed + kGamma), epoch);
  const std::uint64_t place = (first + static_cast<std::uint64_t>(row % rows) * even_stride(count)) % count;
  return static_cast<std::int64_t>(offset) + static_cast<std::int64_t>(place) * config_.seq_len;
}

}  // namespace retape::data
