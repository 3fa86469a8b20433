#include "checkpointing/stores/first_fit.h"

#include <algorithm>
#include <iterator>

namespace retape::checkpointing {

std::optional<Bytes> FirstFit::take(Bytes bytes) {
  const auto gap =
      std::find_if(free_.begin(), free_.end(), [bytes](const auto& range) { return range.second >= bytes; });
  if (gap == free_.end()) {
    return std::nullopt;
  }
  const auto [offset, room] = *gap;
  taken_.emplace(offset, bytes);
  if (room > bytes) {
    free_.emplace(offset + bytes, room - bytes);
  }
  free_.erase(offset);
  live_ += bytes;
  return offset;
}

void FirstFit::give_back(Bytes offset) {
  // The node moves from one map to the other, so that giving back needs no memory and cannot fail.
  auto node = taken_.extract(offset);
  live_ -= node.mapped();
  const auto place = free_.insert(std::move(node)).position;
  if (const auto next = std::next(place); next != free_.end() && place->first + place->second == next->first) {
    place->second += next->second;
    free_.erase(next);
  }
  if (place != free_.begin()) {
    const auto previous = std::prev(place);
    if (previous->first + previous->second == place->first) {
      previous->second += place->second;
      free_.erase(place);
    }
  }
}

}  // namespace retape::checkpointing
