// Checkpoints with a checksum that fits, whatever they hold: what somebody makes who knows the format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "data/files/checksum.h"
#include "trainer/safetensors.h"

namespace retape {

inline constexpr const char* kChecksumTable = "__checksums__";

// The checksum of the header and of each tensor but the last, which is their table.
inline std::vector<std::uint64_t> checksums_of(const trainer::SafetensorsFile& file) {
  std::vector<std::uint64_t> sums{data::checksum(std::as_bytes(std::span(file.header())))};
  for (std::size_t i = 0; i + 1 < file.tensors().size(); ++i) {
    sums.push_back(data::checksum(file.read(file.tensors()[i])));
  }
  return sums;
}

// Writes `description`, the JSON of a checkpoint's step and state, and the tensors, in a file that verifies.
inline void forge_checkpoint(const std::filesystem::path& path, const std::string& description,
                             std::span<const trainer::NamedBytes> tensors) {
  std::vector<std::uint64_t> sums(1 + tensors.size());
  std::vector<trainer::NamedBytes> all(tensors.begin(), tensors.end());
  all.push_back({.name = kChecksumTable,
                 .dtype = "U64",
                 .shape = {static_cast<std::int64_t>(sums.size())},
                 .bytes = std::as_bytes(std::span(sums))});
  const trainer::SafetensorsMetadata metadata{{"retape_checkpoint", description}};
  trainer::write_safetensors(path, all, metadata);
  sums = checksums_of(trainer::SafetensorsFile(path));
  all.back().bytes = std::as_bytes(std::span(sums));
  trainer::write_safetensors(path, all, metadata);
}

}  // namespace retape
