// The files that tokens are kept in, and which of them a file is.
//
//   text  UTF-8 text, which a tokenizer turns into tokens
//   u16   nanoGPT's train.bin: uint16 little endian, no header
//   llmc  llm.c's GPT-2 files: a header of 256 int32 (magic 20240520, version 1, number of tokens, zeros), then uint16,
//         all little endian
//
// Other files of tokens are known and refused, since as raw uint16 they would be garbage that nothing notices: NumPy's,
// llm.c's with 32-bit ids (magic 20240801), raw ids of 32 or 64 bits, archives.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "data/atomic_file.h"
#include "data/files/input_file.h"
#include "data/token.h"
#include "data/token_source.h"

namespace retape::data {

enum class FileFormat { kAuto, kText, kU16, kLlmc };

// "auto", "text", "u16", "llmc". Throws ConfigError for another name.
FileFormat parse_format(std::string_view name);
std::string_view to_string(FileFormat format);

// What "auto" takes a file for; the first rule that applies:
//   1. llmc if it starts with a magic number of llm.c;
//   2. text if its name ends in .txt or .md, u16 if its name ends in .bin;
//   3. text if its first 64 KiB are valid UTF-8 without a NUL byte, else u16.
// Throws DataError for a file of a known form that none of them is.
FileFormat detect_format(const InputFile& file);

// The tokens of a u16 or llmc file, read from it as they are asked for. Throws DataError if the file's size or header
// is not what the format says, or if it is known to be of another form. Ids are not looked at; TokenStream does that.
std::shared_ptr<const TokenSource> open_token_file(std::shared_ptr<const InputFile> file, FileFormat format);

// Writes tokens as u16 or llmc. Throws DataError, also for more tokens than llmc's header can count (2^31 - 1).
void write_tokens(AtomicFile& file, std::span<const Token> tokens, FileFormat format);

}  // namespace retape::data
