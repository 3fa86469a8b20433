// What tells the tokens of a run from others: kept with the run, so that a run that goes on finds out whether they are
// those that it was trained on.
//
// The tokens count and not where they lie: files may be moved and renamed as long as their order stays.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/token_source.h"
#include "nn/base/units.h"

namespace retape::data {

struct FileFingerprint {
  std::string name;  // what messages call it
  std::int64_t tokens = 0;
  std::uint64_t checksum = 0;  // of the checksums of its blocks, a MiB each

  bool operator==(const FileFingerprint&) const = default;
};

struct Fingerprint {
  std::vector<FileFingerprint> train;  // all of data.train, also where the end of it is validation data
  std::vector<FileFingerprint> val;    // of data.val; empty where there is none

  bool operator==(const Fingerprint&) const = default;
};

// Of a file with more bytes of tokens than this, the checksum is of its first and last MiB and of 256 blocks between
// them, a MiB each, that are spread evenly.
inline constexpr Bytes kMostWholeBytes = 1_GiB;

// Reads the tokens. Throws DataError for a source that no longer has them.
FileFingerprint fingerprint(const TokenSource& source, Bytes most_whole_bytes = kMostWholeBytes);
std::vector<FileFingerprint> fingerprint(const std::vector<std::shared_ptr<const TokenSource>>& sources);

// A line that names the files whose checksum is not of all of them; empty where there are none.
std::string describe_sampled(const Fingerprint& fingerprint);

// "FILE: length: expected 100 tokens, found 90", or its content: of the first file that differs; empty where the tokens
// are the same. Those of data.val are compared where both have some: where one has none, a setting has changed.
std::string difference(const Fingerprint& saved, const Fingerprint& found);

// One JSON object and back. Throws DataError for anything else.
std::string to_json(const Fingerprint& fingerprint);
Fingerprint fingerprint_from_json(std::string_view text);

}  // namespace retape::data
