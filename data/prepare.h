// Text to a token file, done once so that training need not encode.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/token_file.h"

namespace retape::data {

struct PrepareConfig {
  std::vector<std::string> inputs;         // paths or patterns of text files, concatenated in this order
  std::string tokenizer = "char";          // "byte", "char" (built from the inputs) or a tokenizer's .json
  FileFormat format = FileFormat::kU16;    // or kLlmc
  std::filesystem::path output;            // the token file
  std::filesystem::path tokenizer_output;  // empty: tokenizer_path_of(output), where open_dataset looks for it
  bool force = false;                      // replaces files that prepare() did not write
};

struct PrepareResult {
  std::int64_t files;
  std::int64_t tokens;
  std::int64_t vocab;
  std::filesystem::path tokenizer_output;
};

// Writes the token file and the tokenizer, marked as its own (files/output_mark.h); it replaces no others, and no file
// that it reads, but a tokenizer that is read from where it would be written stays as it is. It does not put another
// tokenizer in the place of one that other tokens of its making have too, as two outputs do that differ in what follows
// their last dot. All is on disk before anything is put in place, so an error in writing, a full disk among them,
// leaves what was there. A kill, or an error in putting the files in place, may leave no token file, and never one
// beside the tokenizer of another. Throws DataError and ConfigError.
PrepareResult prepare(const PrepareConfig& config);

}  // namespace retape::data
