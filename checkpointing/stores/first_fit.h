// Places ranges of bytes in a line: first fit, free neighbours joined. Knows offsets only, no memory.
#pragma once

#include <map>
#include <optional>

#include "nn/base/units.h"

namespace retape::checkpointing {

// The same sequence of calls gives the same offsets.
class FirstFit {
 public:
  explicit FirstFit(Bytes capacity) : capacity_(capacity) { free_.emplace(0, capacity); }

  // The lowest offset with `bytes` (more than 0) free; none where no gap is large enough.
  std::optional<Bytes> take(Bytes bytes);
  // Gives back what take() returned.
  void give_back(Bytes offset);

  Bytes capacity() const { return capacity_; }
  Bytes live() const { return live_; }

 private:
  Bytes capacity_;
  std::map<Bytes, Bytes> free_;   // bytes by offset; no two touch
  std::map<Bytes, Bytes> taken_;  // likewise
  Bytes live_ = 0;
};

}  // namespace retape::checkpointing
