// Rows of tokens as a model takes them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "data/token_stream.h"

namespace retape::data {

// Which part of a global batch a data-parallel rank takes: with B rows per rank, rows [rank * B, (rank + 1) * B) of
// ranks * B.
struct RankSlice {
  std::int64_t rank = 0;
  std::int64_t ranks = 1;
};

//   inputs   [rows, T]  i32
//   targets  [rows, T]  i32, the token that follows each input
struct Batch {
  std::int64_t rows = 0;
  std::int64_t seq_len = 0;  // T
  std::vector<std::int32_t> inputs;
  std::vector<std::int32_t> targets;

  // Memory is kept from one batch to the next.
  void resize(std::int64_t new_rows, std::int64_t new_seq_len);
  // Row `row` becomes the T tokens from `start` and the T tokens one further.
  void set_row(std::int64_t row, const TokenStream& tokens, std::int64_t start);
};

// Throws DataError, which says `what` is too short, if there are fewer than T + 1 tokens.
void check_length(std::int64_t tokens, std::int64_t seq_len, std::string_view what);

// Throws ConfigError unless B >= 1, T >= 1 and 0 <= rank < ranks, and DataError if there are fewer than T + 1 tokens.
void check_batching(const TokenStream& tokens, std::int64_t batch_size, std::int64_t seq_len, RankSlice slice);

}  // namespace retape::data
