#include "data/token_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <tuple>
#include <utility>

#include "data/utf8.h"
#include "nn/base/error.h"

namespace retape::data {
namespace {

static_assert(std::endian::native == std::endian::little, "tokens are read in place from little-endian files");

using LlmcHeader = std::array<std::int32_t, 256>;
constexpr std::int32_t kLlmcMagic = 20240520;
constexpr std::int32_t kLlmcVersion = 1;

constexpr std::array kFormatNames{
    std::pair{FileFormat::kAuto, std::string_view("auto")},
    std::pair{FileFormat::kText, std::string_view("text")},
    std::pair{FileFormat::kU16, std::string_view("u16")},
    std::pair{FileFormat::kLlmc, std::string_view("llmc")},
};

bool starts_with_magic(const MappedFile& file) {
  std::int32_t magic = 0;
  if (file.bytes().size() < sizeof magic) {
    return false;
  }
  std::memcpy(&magic, file.bytes().data(), sizeof magic);
  return magic == kLlmcMagic;
}

bool looks_like_text(std::string_view bytes) {
  constexpr std::size_t kSample = 1 << 16;
  constexpr std::size_t kLongestCodePoint = 4;
  const std::string_view sample = bytes.substr(0, kSample);
  if (sample.find('\0') != std::string_view::npos) {
    return false;
  }
  for (std::size_t offset = 0; offset < sample.size();) {
    // Decodes from the whole file, so that the end of the sample cuts no character.
    const CodePoint point = decode_utf8(bytes.substr(offset, kLongestCodePoint), 0);
    if (point.length == 0) {
      return false;
    }
    offset += static_cast<std::size_t>(point.length);
  }
  return true;
}

// Tokens from `offset` to the end of the file. Mappings start at a page, so an even offset is aligned.
std::span<const Token> tokens_from(const MappedFile& file, std::size_t offset) {
  const auto bytes = file.bytes().subspan(offset);
  return {reinterpret_cast<const Token*>(bytes.data()), bytes.size() / sizeof(Token)};
}

std::span<const Token> u16_tokens(const MappedFile& file) {
  const std::size_t size = file.bytes().size();
  require<DataError>(size % sizeof(Token) == 0,
                     "[data] {}: u16: expected a whole number of 2-byte tokens, got {} bytes", file.path().string(),
                     size);
  return tokens_from(file, 0);
}

std::span<const Token> llmc_tokens(const MappedFile& file) {
  const std::string path = file.path().string();
  const std::size_t size = file.bytes().size();
  LlmcHeader header{};
  require<DataError>(size >= sizeof header, "[data] {}: llmc: expected a header of {} bytes, got a file of {}", path,
                     sizeof header, size);
  std::memcpy(header.data(), file.bytes().data(), sizeof header);
  const auto [magic, version, count] = std::tie(header[0], header[1], header[2]);
  require<DataError>(magic == kLlmcMagic, "[data] {}: llmc: expected magic number {}, got {}", path, kLlmcMagic, magic);
  require<DataError>(version == kLlmcVersion, "[data] {}: llmc: expected version {}, got {}", path, kLlmcVersion,
                     version);
  require<DataError>(count > 0, "[data] {}: llmc: expected at least one token, got a count of {}", path, count);
  const std::size_t expected = sizeof header + static_cast<std::size_t>(count) * sizeof(Token);
  require<DataError>(size == expected, "[data] {}: llmc: expected {} bytes for {} tokens, got {}", path, expected,
                     count, size);
  return tokens_from(file, sizeof header);
}

}  // namespace

FileFormat parse_format(std::string_view name) {
  const auto* found = std::ranges::find(kFormatNames, name, [](const auto& entry) { return entry.second; });
  require<ConfigError>(found != kFormatNames.end(),
                       "[data] format: expected \"auto\", \"text\", \"u16\" or \"llmc\", got \"{}\"", name);
  return found->first;
}

std::string_view to_string(FileFormat format) {
  return std::ranges::find(kFormatNames, format, [](const auto& entry) { return entry.first; })->second;
}

FileFormat detect_format(const MappedFile& file) {
  if (starts_with_magic(file)) {
    return FileFormat::kLlmc;
  }
  const auto extension = file.path().extension();
  if (extension == ".txt" || extension == ".md") {
    return FileFormat::kText;
  }
  if (extension == ".bin") {
    return FileFormat::kU16;
  }
  return looks_like_text(file.text()) ? FileFormat::kText : FileFormat::kU16;
}

TokenStream::Part open_token_file(std::shared_ptr<const MappedFile> file, FileFormat format) {
  require(format == FileFormat::kU16 || format == FileFormat::kLlmc, "[data] {}: expected a token format, got {}",
          file->path().string(), to_string(format));
  const auto tokens = format == FileFormat::kU16 ? u16_tokens(*file) : llmc_tokens(*file);
  return {file->path().string(), tokens, std::move(file)};
}

void write_tokens(AtomicFile& file, std::span<const Token> tokens, FileFormat format) {
  require(format == FileFormat::kU16 || format == FileFormat::kLlmc, "[data] {}: expected a token format, got {}",
          file.path().string(), to_string(format));
  if (format == FileFormat::kLlmc) {
    constexpr auto kMost = static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max());
    require<DataError>(tokens.size() <= kMost, "[data] {}: llmc: expected at most {} tokens, got {}",
                       file.path().string(), kMost, tokens.size());
    LlmcHeader header{};
    header[0] = kLlmcMagic;
    header[1] = kLlmcVersion;
    header[2] = static_cast<std::int32_t>(tokens.size());
    file.write(std::as_bytes(std::span(header)));
  }
  file.write(std::as_bytes(tokens));
}

}  // namespace retape::data
