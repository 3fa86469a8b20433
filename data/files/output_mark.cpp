#include "data/files/output_mark.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <system_error>

#include "data/files/checksum.h"
#include "data/files/file_descriptor.h"
#include "data/files/follow_links.h"
#include "data/files/json.h"
#include "data/files/read_text.h"
#include "nn/base/error.h"

namespace retape::data {
namespace {

using nlohmann::json;

// A tokenizer with the most characters that there are is a tenth of it, and a study's report far less.
constexpr std::size_t kLargestJson = std::size_t{64} << 20;

struct OpenFile {
  FileDescriptor file;
  std::int64_t length = 0;
};

// Nothing where there is no regular file that can be opened.
std::optional<OpenFile> open_regular(const std::filesystem::path& path) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return std::nullopt;
  }
  return OpenFile{.file = std::move(file), .length = status.st_size};
}

// Up to as many bytes as there is room for: fewer at the end of the file.
std::span<std::byte> read_block(const OpenFile& open, std::span<std::byte> block, const std::filesystem::path& path) {
  std::size_t filled = 0;
  while (filled < block.size()) {
    const ssize_t count = ::read(open.file.get(), block.data() + filled, block.size() - filled);
    if (count < 0 && errno != EINTR) {
      fail_io(path, "read", errno);
    }
    if (count == 0) {
      break;
    }
    filled += static_cast<std::size_t>(std::max<ssize_t>(count, 0));
  }
  return block.first(filled);
}

// The checksum of the checksums of its blocks.
std::uint64_t checksum_of(const OpenFile& open, const std::filesystem::path& path) {
  constexpr std::size_t kBlockBytes = std::size_t{1} << 20;
  std::vector<std::byte> block(kBlockBytes);
  std::vector<std::uint64_t> sums;
  for (std::span<std::byte> read = block; read.size() == kBlockBytes;) {
    read = read_block(open, block, path);
    sums.push_back(checksum(read));
  }
  return checksum(std::as_bytes(std::span(sums)));
}

// Null where there is no JSON.
json read_json(const std::filesystem::path& path) {
  try {
    return parse_json(read_text(path, kLargestJson), path.string());
  } catch (const DataError&) {
    return {};  // some other file
  }
}

bool is_marked(const json& marked, std::string_view command) {
  return marked.is_object() && marked.contains(kMarkKey) && marked[kMarkKey] == command;
}

json describe(const OpenFile& open, const std::filesystem::path& path, std::string_view command) {
  return {{kMarkKey, command}, {"length", open.length}, {"checksum", fmt::format("{:016x}", checksum_of(open, path))}};
}

}  // namespace

bool has_json_mark(const std::filesystem::path& file, std::string_view command) {
  return is_marked(read_json(file), command);
}

bool has_mark_beside(const std::filesystem::path& file, std::string_view command) {
  const json mark = read_json(mark_beside(file));
  const std::optional<OpenFile> open = open_regular(file);
  return open && is_marked(mark, command) && mark.value("length", json()) == open->length &&
         mark == describe(*open, file, command);
}

std::filesystem::path mark_beside(const std::filesystem::path& file) {
  return follow_links(file) += ".retape.json";
}

std::string mark_text(const std::filesystem::path& contents, std::string_view command) {
  const std::optional<OpenFile> open = open_regular(contents);
  require<DataError>(open.has_value(), "[file] {}: expected a file to describe, found none", contents.string());
  return describe(*open, contents, command).dump() + "\n";
}

void require_different_files(std::span<const std::filesystem::path> outputs, std::string_view place) {
  std::map<std::filesystem::path, std::filesystem::path> seen;  // by where it leads
  for (const std::filesystem::path& output : outputs) {
    const auto [first, is_new] = seen.emplace(std::filesystem::weakly_canonical(follow_links(output)), output);
    require<ConfigError>(is_new, "{}: expected different files, got {} and {}, which are links to one", place,
                         first->second.string(), output.string());
  }
}

void require_replaceable(const std::filesystem::path& output, const OutputRules& rules,
                         const std::function<bool()>& is_own) {
  std::error_code absent;
  for (const std::filesystem::path& read : rules.read) {
    require<ConfigError>(!std::filesystem::equivalent(output, read, absent),
                         "{}: {} is a file that {} reads ({}); name another", rules.place, output.string(),
                         rules.command, read.string());
  }
  require<DataError>(!std::filesystem::is_regular_file(output, absent) || rules.force || is_own(),
                     "{}: {} was not written by {}, or was changed since; --force replaces it", rules.place,
                     output.string(), rules.command);
}

void require_replaceable_beside(const std::filesystem::path& output, const OutputRules& rules) {
  require_replaceable(output, rules, [&] { return has_mark_beside(output, rules.command); });
  const std::filesystem::path mark = mark_beside(output);
  require_replaceable(mark, rules, [&] { return has_json_mark(mark, rules.command); });
}

}  // namespace retape::data
