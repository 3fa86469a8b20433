#include "data/token_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "data/foreign_files.h"
#include "data/utf8.h"
#include "nn/base/error.h"

namespace retape::data {
namespace {

static_assert(std::endian::native == std::endian::little, "tokens are read as they lie in little-endian files");

using LlmcHeader = std::array<std::int32_t, 256>;
constexpr std::int32_t kLlmcMagic = 20240520;
constexpr std::int32_t kLlmcMagic32 = 20240801;  // of 32-bit ids
constexpr std::int32_t kLlmcVersion = 1;

constexpr auto kTokenBytes = static_cast<std::int64_t>(sizeof(Token));

// Bytes of a file that tell what it is.
constexpr std::size_t kSample = 1 << 16;
constexpr std::size_t kLongestCodePoint = 4;

constexpr std::array kFormatNames{
    std::pair{FileFormat::kAuto, std::string_view("auto")},
    std::pair{FileFormat::kText, std::string_view("text")},
    std::pair{FileFormat::kU16, std::string_view("u16")},
    std::pair{FileFormat::kLlmc, std::string_view("llmc")},
};

std::int32_t magic_of(std::string_view beginning) {
  std::int32_t magic = 0;
  std::memcpy(&magic, beginning.data(), std::min(beginning.size(), sizeof magic));
  return magic;
}

bool is_llmc(std::string_view beginning) {
  const std::int32_t magic = magic_of(beginning);
  return magic == kLlmcMagic || magic == kLlmcMagic32;
}

// `bytes` go on for a few beyond the sample, so that its end cuts no character.
bool looks_like_text(std::string_view bytes) {
  const std::string_view sample = bytes.substr(0, kSample);
  if (sample.find('\0') != std::string_view::npos) {
    return false;
  }
  for (std::size_t offset = 0; offset < sample.size();) {
    const CodePoint point = decode_utf8(bytes.substr(offset, kLongestCodePoint), 0);
    if (point.length == 0) {
      return false;
    }
    offset += static_cast<std::size_t>(point.length);
  }
  return true;
}

// Those of a file from a byte of it on.
class TokensInFile final : public TokenSource {
 public:
  TokensInFile(std::shared_ptr<const InputFile> file, std::int64_t offset)
      : TokenSource(file->path().string(), (file->size() - offset) / kTokenBytes),
        file_(std::move(file)),
        offset_(offset) {}

  void read(std::int64_t begin, std::span<Token> out) const override {
    file_->read(offset_ + begin * kTokenBytes, std::as_writable_bytes(out));
  }

 private:
  std::shared_ptr<const InputFile> file_;
  std::int64_t offset_;
};

std::shared_ptr<const TokenSource> open_u16(std::shared_ptr<const InputFile> file) {
  const std::string path = file->path().string();
  require<DataError>(file->size() % kTokenBytes == 0,
                     "[data] {}: u16: expected a whole number of 2-byte tokens, got {} bytes", path, file->size());
  const std::string beginning = file->beginning(kSample);
  require<DataError>(!is_llmc(beginning),
                     "[data] {}: u16: found the header of a file of llm.c; the format llmc reads it", path);
  refuse_foreign(path, beginning);
  auto tokens = std::make_shared<const TokensInFile>(std::move(file), 0);
  std::vector<Token> words(beginning.size() / sizeof(Token));
  tokens->read(0, words);
  refuse_wider_ids(path, words);
  return tokens;
}

std::shared_ptr<const TokenSource> open_llmc(std::shared_ptr<const InputFile> file) {
  const std::string path = file->path().string();
  LlmcHeader header{};
  constexpr auto kHeaderBytes = static_cast<std::int64_t>(sizeof header);
  require<DataError>(file->size() >= kHeaderBytes, "[data] {}: llmc: expected a header of {} bytes, got a file of {}",
                     path, kHeaderBytes, file->size());
  file->read(0, std::as_writable_bytes(std::span(header)));
  const auto [magic, version, count] = std::tie(header[0], header[1], header[2]);
  require<DataError>(magic == kLlmcMagic, "[data] {}: llmc: expected magic number {}, got {}{}", path, kLlmcMagic,
                     magic, magic == kLlmcMagic32 ? ", that of 32-bit ids, which are not read" : "");
  require<DataError>(version == kLlmcVersion, "[data] {}: llmc: expected version {}, got {}", path, kLlmcVersion,
                     version);
  require<DataError>(count > 0, "[data] {}: llmc: expected at least one token, got a count of {}", path, count);
  const std::int64_t expected = kHeaderBytes + std::int64_t{count} * kTokenBytes;
  require<DataError>(file->size() == expected, "[data] {}: llmc: expected {} bytes for {} tokens, got {}", path,
                     expected, count, file->size());
  return std::make_shared<const TokensInFile>(std::move(file), kHeaderBytes);
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

FileFormat detect_format(const InputFile& file) {
  const std::string beginning = file.beginning(kSample + kLongestCodePoint);
  if (is_llmc(beginning)) {
    return FileFormat::kLlmc;
  }
  refuse_foreign(file.path(), beginning);
  const auto extension = file.path().extension();
  if (extension == ".txt" || extension == ".md") {
    return FileFormat::kText;
  }
  if (extension == ".bin") {
    return FileFormat::kU16;
  }
  return looks_like_text(beginning) ? FileFormat::kText : FileFormat::kU16;
}

std::shared_ptr<const TokenSource> open_token_file(std::shared_ptr<const InputFile> file, FileFormat format) {
  require(format == FileFormat::kU16 || format == FileFormat::kLlmc, "[data] {}: expected a token format, got {}",
          file->path().string(), to_string(format));
  return format == FileFormat::kU16 ? open_u16(std::move(file)) : open_llmc(std::move(file));
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
