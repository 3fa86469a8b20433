#include "parallel/comm/agreement.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "nn/base/error.h"

namespace retape::parallel {

void require_agreement(Communicator& communicator, std::string_view what, std::string_view text) {
  if (communicator.planned()) {
    return;
  }
  const auto ranks = static_cast<std::size_t>(communicator.size());
  const std::uint64_t length = text.size();
  std::vector<std::uint64_t> lengths(ranks);
  communicator.all_gather(&length, lengths.data(), sizeof(length));

  const std::size_t longest = *std::max_element(lengths.begin(), lengths.end());
  std::string padded(text);
  padded.resize(longest);
  std::string texts(ranks * longest, '\0');
  communicator.all_gather(padded.data(), texts.data(), static_cast<Bytes>(longest));

  const auto text_of = [&](std::size_t rank) { return std::string_view(texts).substr(rank * longest, lengths[rank]); };
  for (std::size_t rank = 1; rank < ranks; ++rank) {
    require<CommError>(text_of(rank) == text_of(0),
                       "[comm] {}: the ranks disagree: rank 0 has \"{}\", rank {} has \"{}\"", what, text_of(0), rank,
                       text_of(rank));
  }
}

}  // namespace retape::parallel
