#include "data/batch.h"

#include <algorithm>

#include "nn/base/error.h"

namespace retape::data {

void Batch::resize(std::int64_t new_rows, std::int64_t new_seq_len) {
  rows = new_rows;
  seq_len = new_seq_len;
  inputs.resize(static_cast<std::size_t>(rows * seq_len));
  targets.resize(inputs.size());
}

void Batch::set_row(std::int64_t row, const TokenStream& tokens, std::int64_t start) {
  const auto offset = static_cast<std::size_t>(row * seq_len);
  const auto length = static_cast<std::size_t>(seq_len);
  std::vector<std::int32_t> ids(length + 1);  // read once, though all but two of them are needed twice
  tokens.copy(start, ids);
  std::copy_n(ids.begin(), length, inputs.begin() + static_cast<std::ptrdiff_t>(offset));
  std::copy_n(ids.begin() + 1, length, targets.begin() + static_cast<std::ptrdiff_t>(offset));
}

void check_length(std::int64_t tokens, std::int64_t seq_len, std::string_view what) {
  require<DataError>(tokens > seq_len,
                     "[data] {}: expected at least {} tokens (a sequence of {} and its target), got {}", what,
                     seq_len + 1, seq_len, tokens);
}

void check_batching(const TokenStream& tokens, std::int64_t batch_size, std::int64_t seq_len, RankSlice slice) {
  require<ConfigError>(batch_size >= 1, "[sampler] batch size: expected at least 1, got {}", batch_size);
  require<ConfigError>(seq_len >= 1, "[sampler] sequence length: expected at least 1, got {}", seq_len);
  require<ConfigError>(slice.rank >= 0 && slice.rank < slice.ranks,
                       "[sampler] data-parallel rank: expected 0 <= rank < ranks, got rank {} of {}", slice.rank,
                       slice.ranks);
  check_length(tokens.size(), seq_len, "tokens");
}

}  // namespace retape::data
