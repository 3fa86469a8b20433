#include "data/tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "data/files/json.h"
#include "data/files/read_text.h"
#include "data/utf8.h"
#include "nn/base/error.h"

namespace retape::data {
namespace {

constexpr int kVersion = 1;

// A character takes at most 12 bytes as JSON, "\ud83d\ude00", two quotes and a comma; the rest is room for a layout.
constexpr std::size_t kMostBytesOfEntry = 32;
constexpr std::size_t kMostFileBytes = static_cast<std::size_t>(kMaxVocab) * kMostBytesOfEntry;

nlohmann::json json_of(std::string_view type) {
  return {{"retape_tokenizer", kVersion}, {"type", type}};
}

void check_id(std::int32_t id, std::int64_t vocab) {
  require<DataError>(id >= 0 && id < vocab, "[tokenizer] decode: expected an id below {}, got {}", vocab, id);
}

// Calls visit(code point, byte offset) for each character.
template <class Visit>
void for_each_code_point(const NamedText& text, Visit visit) {
  for (std::size_t offset = 0; offset < text.text.size();) {
    const CodePoint point = decode_utf8(text.text, offset);
    require<DataError>(point.length > 0, "[tokenizer] {}: invalid UTF-8 at byte {} (0x{:02X})", text.name,
                       text.offset + offset, static_cast<unsigned char>(text.text[offset]));
    visit(point.value, offset);
    offset += static_cast<std::size_t>(point.length);
  }
}

bool continues_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

// Calls visit(block, its offset) along the file; what it returns is how much of the block it has taken.
template <class Visit>
void for_each_block(const InputFile& file, Visit visit) {
  constexpr std::int64_t kBlock = 1 << 20;
  std::string block;
  for (std::int64_t offset = 0; offset < file.size();) {
    block.resize(static_cast<std::size_t>(std::min(kBlock, file.size() - offset)));
    file.read(offset, std::as_writable_bytes(std::span(block)));
    offset += static_cast<std::int64_t>(visit(std::string_view(block), offset));
  }
}

class ByteTokenizer final : public Tokenizer {
 public:
  std::int64_t vocab_size() const override { return kVocab; }

  std::vector<Token> encode(const NamedText& text) const override {
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.text.data());
    return {bytes, bytes + text.text.size()};
  }

  std::int64_t count(const InputFile& file) const override { return file.size(); }

  std::string decode(std::span<const std::int32_t> ids) const override {
    std::string text;
    for (const std::int32_t id : ids) {
      check_id(id, kVocab);
      text += static_cast<char>(id);
    }
    return text;
  }

  std::string to_json() const override { return json_of("byte").dump(); }

 private:
  static constexpr std::int64_t kVocab = 256;
};

class CharTokenizer final : public Tokenizer {
 public:
  // Ascending, without repeats, at least one.
  explicit CharTokenizer(std::vector<char32_t> vocabulary) : vocabulary_(std::move(vocabulary)) {
    ids_.assign(static_cast<std::size_t>(vocabulary_.back()) + 1, kNoId);
    for (std::size_t id = 0; id < vocabulary_.size(); ++id) {
      ids_[vocabulary_[id]] = static_cast<std::int32_t>(id);
    }
  }

  std::int64_t vocab_size() const override { return static_cast<std::int64_t>(vocabulary_.size()); }

  std::vector<Token> encode(const NamedText& text) const override {
    std::vector<Token> tokens;
    tokens.reserve(text.text.size());
    for_each_code_point(text, [&](char32_t value, std::size_t offset) {
      const std::int32_t id = value < ids_.size() ? ids_[value] : kNoId;
      require<DataError>(id != kNoId,
                         "[tokenizer] {}: character {} at byte {} is not in the vocabulary of {} characters", text.name,
                         describe(value), text.offset + offset, vocabulary_.size());
      tokens.push_back(static_cast<Token>(id));
    });
    return tokens;
  }

  std::int64_t count(const InputFile& file) const override {
    std::int64_t characters = 0;
    for_each_block(file, [&](std::string_view block, std::int64_t /*offset*/) {
      characters += std::ranges::count_if(block, [](char byte) { return !continues_character(byte); });
      return block.size();
    });
    return characters;
  }

  std::string decode(std::span<const std::int32_t> ids) const override {
    std::string text;
    for (const std::int32_t id : ids) {
      check_id(id, vocab_size());
      append_utf8(text, vocabulary_[static_cast<std::size_t>(id)]);
    }
    return text;
  }

  std::string to_json() const override {
    nlohmann::json characters = nlohmann::json::array();
    for (const char32_t value : vocabulary_) {
      std::string character;
      append_utf8(character, value);
      characters.push_back(std::move(character));
    }
    nlohmann::json json = json_of("char");
    json["vocabulary"] = std::move(characters);
    return json.dump();
  }

 private:
  static constexpr std::int32_t kNoId = -1;

  std::vector<char32_t> vocabulary_;
  std::vector<std::int32_t> ids_;  // by code point, up to the last of the vocabulary
};

// Those that occur in texts, which need not be in memory at once.
class Characters {
 public:
  void add(const NamedText& text) {
    for_each_code_point(text, [&](char32_t value, std::size_t) { occurs_[value] = true; });
  }

  std::shared_ptr<const Tokenizer> tokenizer() const {
    std::vector<char32_t> vocabulary;
    for (char32_t value = 0; value <= kMaxCodePoint; ++value) {
      if (occurs_[value]) {
        vocabulary.push_back(value);
      }
    }
    require<DataError>(!vocabulary.empty(), "[tokenizer] char: expected a text to take the characters from, got none");
    require<DataError>(vocabulary.size() <= static_cast<std::size_t>(kMaxVocab),
                       "[tokenizer] char: expected at most {} different characters, got {}", kMaxVocab,
                       vocabulary.size());
    return std::make_shared<const CharTokenizer>(std::move(vocabulary));
  }

 private:
  std::vector<bool> occurs_ = std::vector<bool>(static_cast<std::size_t>(kMaxCodePoint) + 1);
};

// How many bytes at the end of a block are the beginning of a character that goes on behind it.
std::size_t bytes_of_cut_character(std::string_view block) {
  constexpr std::size_t kLongestBeginning = 3;
  for (std::size_t back = 1; back <= std::min(kLongestBeginning, block.size()); ++back) {
    const auto byte = static_cast<unsigned char>(block[block.size() - back]);
    if (byte >= 0xC0) {
      const std::size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
      return length > back ? back : 0;
    }
  }
  return 0;
}

void add_blocks(const InputFile& file, Characters& characters) {
  for_each_block(file, [&](std::string_view block, std::int64_t offset) {
    const bool is_last = offset + static_cast<std::int64_t>(block.size()) == file.size();
    const std::string_view whole = block.substr(0, block.size() - (is_last ? 0 : bytes_of_cut_character(block)));
    characters.add({file.path().string(), whole, static_cast<std::size_t>(offset)});
    return whole.size();
  });
}

// The one character of a vocabulary entry, or nothing.
std::optional<char32_t> single_character(const nlohmann::json& entry) {
  if (!entry.is_string()) {
    return std::nullopt;
  }
  const auto& text = entry.get_ref<const std::string&>();
  const CodePoint point = text.empty() ? CodePoint{0, 0} : decode_utf8(text, 0);
  if (point.length == 0 || static_cast<std::size_t>(point.length) != text.size()) {
    return std::nullopt;
  }
  return point.value;
}

std::shared_ptr<const Tokenizer> load_char_tokenizer(const nlohmann::json& json, std::string_view name) {
  const auto entries = json.find("vocabulary");
  require<DataError>(entries != json.end() && entries->is_array() && !entries->empty() &&
                         entries->size() <= static_cast<std::size_t>(kMaxVocab),
                     "[tokenizer] {}: vocabulary: expected an array of 1 to {} characters", name, kMaxVocab);
  std::vector<char32_t> vocabulary;
  for (const nlohmann::json& entry : *entries) {
    const std::optional<char32_t> value = single_character(entry);
    require<DataError>(value && (vocabulary.empty() || *value > vocabulary.back()),
                       "[tokenizer] {}: vocabulary[{}]: expected one character above the previous, got {}", name,
                       vocabulary.size(), shown(entry));
    vocabulary.push_back(*value);
  }
  return std::make_shared<const CharTokenizer>(std::move(vocabulary));
}

}  // namespace

std::shared_ptr<const Tokenizer> make_byte_tokenizer() {
  return std::make_shared<const ByteTokenizer>();
}

std::shared_ptr<const Tokenizer> make_char_tokenizer(std::span<const NamedText> texts) {
  Characters characters;
  for (const NamedText& text : texts) {
    characters.add(text);
  }
  return characters.tokenizer();
}

std::shared_ptr<const Tokenizer> make_char_tokenizer(const InputFiles& files) {
  Characters characters;
  for (const auto& file : files) {
    add_blocks(*file, characters);
  }
  return characters.tokenizer();
}

std::shared_ptr<const Tokenizer> load_tokenizer(std::string_view text, std::string_view name) {
  const nlohmann::json json = parse_json(text, fmt::format("[tokenizer] {}", name));
  require<DataError>(json.is_object(), "[tokenizer] {}: expected a JSON object, got {}", name, shown(json));
  require<DataError>(json.value("retape_tokenizer", nlohmann::json()) == kVersion,
                     "[tokenizer] {}: expected \"retape_tokenizer\": {}", name, kVersion);
  const nlohmann::json type = json.value("type", nlohmann::json());
  if (type == "byte") {
    return make_byte_tokenizer();
  }
  require<DataError>(type == "char", "[tokenizer] {}: type: expected \"byte\" or \"char\", got {}", name, shown(type));
  return load_char_tokenizer(json, name);
}

bool is_tokenizer_file(std::string_view setting) {
  return setting.ends_with(".json");
}

std::shared_ptr<const Tokenizer> make_tokenizer(const std::string& setting, const InputFiles& files) {
  if (is_tokenizer_file(setting)) {
    return load_tokenizer(read_text(setting, kMostFileBytes), setting);
  }
  require<ConfigError>(setting == "byte" || setting == "char",
                       "[data] tokenizer: expected \"byte\", \"char\" or the path of a .json file, got \"{}\"",
                       setting);
  return setting == "byte" ? make_byte_tokenizer() : make_char_tokenizer(files);
}

}  // namespace retape::data
