// Every window of a validation set once, in order.
#pragma once

#include <cstdint>

#include "data/batch.h"
#include "data/token_stream.h"

namespace retape::data {

// Window w is the T tokens from w T and, as targets, the T tokens one further; there are (n - 1) / T, and what is left
// at the end is in none. They come in global batches of R B; the last may have fewer rows.
class Windows {
 public:
  // Throws ConfigError for settings out of range, DataError if there are fewer than T + 1 tokens.
  Windows(TokenStream tokens, std::int64_t batch_size, std::int64_t seq_len, RankSlice slice = {});

  // Windows of all ranks together.
  std::int64_t count() const { return count_; }

  // Fills `batch` with this rank's rows of the next global batch; false, and `batch` as it was, after the last. All
  // ranks get equally many batches, so that they may communicate about each: in the last, a rank may have no rows.
  bool next(Batch& batch);

 private:
  TokenStream tokens_;
  std::int64_t batch_size_;
  std::int64_t seq_len_;
  RankSlice slice_;
  std::int64_t count_;
  std::int64_t position_ = 0;
};

}  // namespace retape::data
