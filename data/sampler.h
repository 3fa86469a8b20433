// Draws the batches of training. Which rows come is a function of a small state that is saved and restored.
//
//   random
//               epoch by epoch, the tokens are cut into rows of T from an offset that each epoch draws anew: every
//               token is seen before any is seen again, in windows that differ from epoch to epoch. From a row that
//               each epoch draws anew, rows follow in steps of the golden section of the epoch, so that any few in a
//               row, a batch above all, come from all over the tokens. Where row k of the run starts depends on the
//               seed and on k alone, so R ranks with B rows draw what one rank with R B rows draws
//   sequential
//               the rows follow each other through the tokens: with one rank, row b of step s starts at (s B + b) T.
//               When the next global batch does not fit whole, it comes from the start again
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "data/batch.h"
#include "data/token_stream.h"

namespace retape::data {

enum class Order { kRandom, kSequential };

// "random", "sequential".
std::string_view to_string(Order order);

struct SamplerState {
  Order order = Order::kRandom;
  std::uint64_t seed = 0;
  // Random: rows drawn so far, of all ranks together. Sequential: the row of the tokens that comes next.
  std::int64_t position = 0;

  bool operator==(const SamplerState&) const = default;
};

// One JSON object and back. Throws DataError for anything else.
std::string to_json(const SamplerState& state);
SamplerState sampler_state_from_json(std::string_view text);

struct SamplerConfig {
  Order order = Order::kRandom;
  std::uint64_t seed = 0;
  std::int64_t batch_size = 1;  // B, rows per rank
  std::int64_t seq_len = 1;     // T
  RankSlice slice;
};

class Sampler {
 public:
  // Throws ConfigError for settings out of range, DataError if the tokens are too few: T + 1 for random order, one
  // whole global batch of R B T + 1 for sequential order.
  Sampler(TokenStream tokens, const SamplerConfig& config);

  // Fills `batch` with this rank's B rows of the next global batch.
  void next(Batch& batch);

  const SamplerState& state() const { return state_; }
  // Goes on from `state`, its seed included. Throws ConfigError if its order is not the configured one, DataError if
  // its position is no count of rows.
  void restore(const SamplerState& state);

 private:
  std::int64_t row_start(std::int64_t row) const;

  TokenStream tokens_;
  SamplerConfig config_;
  SamplerState state_;
};

}  // namespace retape::data
