#include "data/fingerprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>

#include "data/files/checksum.h"
#include "data/files/json.h"
#include "nn/base/error.h"

namespace retape::data {
namespace {

using nlohmann::json;

constexpr Bytes kTokenBytes = sizeof(Token);
constexpr std::int64_t kBlock = 1_MiB / kTokenBytes;  // tokens

// Where the blocks begin that a checksum is of.
std::vector<std::int64_t> block_starts(std::int64_t tokens, Bytes most_whole_bytes) {
  std::vector<std::int64_t> starts;
  if (tokens * kTokenBytes <= most_whole_bytes) {
    for (std::int64_t start = 0; start < tokens; start += kBlock) {
      starts.push_back(start);
    }
    return starts;
  }
  constexpr std::int64_t kBetween = 256;
  const std::int64_t last = std::max<std::int64_t>(0, tokens - kBlock);
  starts.push_back(0);
  for (std::int64_t i = 1; i <= kBetween; ++i) {
    starts.push_back(last / (kBetween + 1) * i);
  }
  starts.push_back(last);
  return starts;
}

std::string difference(const std::vector<FileFingerprint>& saved, const std::vector<FileFingerprint>& found) {
  const std::size_t both = std::min(saved.size(), found.size());
  for (std::size_t i = 0; i < both; ++i) {
    const FileFingerprint& before = saved[i];
    const FileFingerprint& now = found[i];
    const std::string owner = before.name == now.name ? std::string() : fmt::format(" of {}", before.name);
    if (before.tokens != now.tokens) {
      return fmt::format("{}: length: expected the {} tokens{} that the run was trained on, found {}", now.name,
                         before.tokens, owner, now.tokens);
    }
    if (before.checksum != now.checksum) {
      return fmt::format(
          "{}: content: expected the {} tokens{} that the run was trained on, with checksum {:016x}, found others, "
          "with {:016x}",
          now.name, before.tokens, owner, before.checksum, now.checksum);
    }
  }
  if (saved.size() > both) {
    return fmt::format("{}: length: expected the {} tokens of this file too, found the run's data without it",
                       saved[both].name, saved[both].tokens);
  }
  if (found.size() > both) {
    return fmt::format("{}: length: expected the end of the data that the run was trained on, found {} tokens more",
                       found[both].name, found[both].tokens);
  }
  return {};
}

json json_of(const std::vector<FileFingerprint>& files) {
  json array = json::array();
  for (const FileFingerprint& file : files) {
    array.push_back({{"name", file.name}, {"tokens", file.tokens}, {"checksum", file.checksum}});
  }
  return array;
}

std::vector<FileFingerprint> files_from_json(const json& object, const char* key) {
  const auto array = object.find(key);
  require<DataError>(array != object.end() && array->is_array(), "[data] fingerprint: {}: expected an array of files",
                     key);
  std::vector<FileFingerprint> files;
  for (const json& file : *array) {
    const auto field = [&](const char* name) { return file.is_object() ? file.value(name, json()) : json(); };
    const json name = field("name");
    const json checksum = field("checksum");
    const std::string place = fmt::format("[data] fingerprint: {}[{}]", key, files.size());
    require<DataError>(name.is_string() && checksum.is_number_unsigned(), "{}: expected a name and a checksum, got {}",
                       place, shown(file));
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / kTokenBytes;
    files.push_back({name.get<std::string>(), integer_of(field("tokens"), place + ": tokens", 0, kMost),
                     checksum.get<std::uint64_t>()});
  }
  return files;
}

}  // namespace

FileFingerprint fingerprint(const TokenSource& source, Bytes most_whole_bytes) {
  std::vector<std::uint64_t> sums;
  std::vector<Token> block;
  for (const std::int64_t start : block_starts(source.size(), most_whole_bytes)) {
    block.resize(static_cast<std::size_t>(std::min(kBlock, source.size() - start)));
    source.read(start, block);
    sums.push_back(checksum(std::as_bytes(std::span(block))));
  }
  return {source.name(), source.size(), checksum(std::as_bytes(std::span(sums)))};
}

std::vector<FileFingerprint> fingerprint(const std::vector<std::shared_ptr<const TokenSource>>& sources) {
  std::vector<FileFingerprint> files;
  files.reserve(sources.size());
  for (const auto& source : sources) {
    files.push_back(fingerprint(*source));
  }
  return files;
}

std::string describe_sampled(const Fingerprint& fingerprint) {
  const FileFingerprint* first = nullptr;
  std::int64_t count = 0;
  for (const auto* files : {&fingerprint.train, &fingerprint.val}) {
    for (const FileFingerprint& file : *files) {
      if (file.tokens * kTokenBytes > kMostWholeBytes) {
        first = first == nullptr ? &file : first;
        ++count;
      }
    }
  }
  if (first == nullptr) {
    return {};
  }
  return fmt::format(
      "{}{}: more than {} of tokens, so that a change is looked for in the first and last MiB and in 256 "
      "blocks between them",
      first->name, count > 1 ? fmt::format(" and {} more", count - 1) : "", format_bytes(kMostWholeBytes));
}

std::string difference(const Fingerprint& saved, const Fingerprint& found) {
  const std::string train = difference(saved.train, found.train);
  return train.empty() && !saved.val.empty() && !found.val.empty() ? difference(saved.val, found.val) : train;
}

std::string to_json(const Fingerprint& fingerprint) {
  const json object{{"train", json_of(fingerprint.train)}, {"val", json_of(fingerprint.val)}};
  return object.dump(-1, ' ', false, json::error_handler_t::replace);  // names of files need not be UTF-8
}

Fingerprint fingerprint_from_json(std::string_view text) {
  const json object = parse_json(text, "[data] fingerprint");
  require<DataError>(object.is_object(), "[data] fingerprint: expected a JSON object, got {}", shown(object));
  return {files_from_json(object, "train"), files_from_json(object, "val")};
}

}  // namespace retape::data
