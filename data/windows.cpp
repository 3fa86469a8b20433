#include "data/windows.h"

#include <algorithm>
#include <utility>

namespace retape::data {

Windows::Windows(TokenStream tokens, std::int64_t batch_size, std::int64_t seq_len, RankSlice slice)
    : tokens_(std::move(tokens)), batch_size_(batch_size), seq_len_(seq_len), slice_(slice) {
  check_batching(tokens_, batch_size_, seq_len_, slice_);
  count_ = (tokens_.size() - 1) / seq_len_;
}

bool Windows::next(Batch& batch) {
  if (position_ >= count_) {
    return false;
  }
  const std::int64_t first = position_ + slice_.rank * batch_size_;
  batch.resize(std::clamp<std::int64_t>(count_ - first, 0, batch_size_), seq_len_);
  for (std::int64_t row = 0; row < batch.rows; ++row) {
    batch.set_row(row, tokens_, (first + row) * seq_len_);
  }
  position_ += batch_size_ * slice_.ranks;
  return true;
}

}  // namespace retape::data
