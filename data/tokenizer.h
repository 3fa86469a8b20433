// Text to tokens and back. A tokenizer is immutable and is kept with the run as JSON text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/files/input_file.h"
#include "data/token.h"

namespace retape::data {

// A text, or a part of one, and what messages call it, such as the path of its file.
struct NamedText {
  std::string name;
  std::string_view text;
  std::size_t offset = 0;  // of its first byte in the whole, for messages
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // V: ids are 0 .. V - 1, and V is at most kMaxVocab.
  virtual std::int64_t vocab_size() const = 0;

  // Throws DataError, with the name of the text and the byte offset, for what the tokenizer has no id for.
  virtual std::vector<Token> encode(const NamedText& text) const = 0;
  std::vector<Token> encode(std::string_view text) const { return encode(NamedText{"text", text}); }

  // How many tokens encode() would give for the whole file, if it has an id for all of it.
  virtual std::int64_t count(const InputFile& file) const = 0;

  // Throws DataError for an id that is not below V.
  virtual std::string decode(std::span<const std::int32_t> ids) const = 0;

  // One JSON object that load_tokenizer reads back.
  virtual std::string to_json() const = 0;
};

// V = 256, the id is the byte. Takes any bytes, text or not; a decoded sample need not be valid UTF-8.
std::shared_ptr<const Tokenizer> make_byte_tokenizer();

// The vocabulary is the code points that occur in the texts, in ascending order, so an id is a rank. encode throws for
// a character that is not among them. Throws DataError for invalid UTF-8 (with its byte offset), for texts without a
// character, and for more than kMaxVocab different ones.
std::shared_ptr<const Tokenizer> make_char_tokenizer(std::span<const NamedText> texts);
// The same of files, which are read block by block: of no text is all in memory.
std::shared_ptr<const Tokenizer> make_char_tokenizer(const InputFiles& files);

// Reads what to_json wrote. `name` is what messages call it. Throws DataError for anything else.
std::shared_ptr<const Tokenizer> load_tokenizer(std::string_view json, std::string_view name);

// The tokenizer that a setting names: "byte", "char" (built from the texts of `files`), or the path of a file that ends
// in ".json". Throws ConfigError for another name, and what the functions above throw.
std::shared_ptr<const Tokenizer> make_tokenizer(const std::string& setting, const InputFiles& files);

// Whether a setting names a tokenizer's file rather than a kind of tokenizer.
bool is_tokenizer_file(std::string_view setting);

}  // namespace retape::data
