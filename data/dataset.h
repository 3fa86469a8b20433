// The tokens that a run trains on and is validated on, opened, checked and split.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/fingerprint.h"
#include "data/token_file.h"
#include "data/token_stream.h"
#include "data/tokenizer.h"

namespace retape::data {

struct DatasetConfig {
  std::vector<std::string> train;  // paths or patterns; several files are one sequence
  std::vector<std::string> val;    // the same; empty takes the end of `train`
  double val_fraction = 0.1;       // of `train`, where `val` is empty; 0 for no validation
  FileFormat format = FileFormat::kAuto;
  std::string tokenizer = "byte";  // "byte", "char" or a tokenizer's .json; for text
  std::int64_t vocab = 0;          // V of the model: every id is below it. 0: the tokenizer's
  std::int64_t seq_len = 0;        // T: each split holds at least one sequence of T + 1 tokens
  bool fingerprint = false;        // take one, which a run keeps
};

struct Dataset {
  TokenStream train;
  TokenStream val;                             // empty if there is none
  std::shared_ptr<const Tokenizer> tokenizer;  // null for token files that come without one
  std::int64_t vocab = 0;                      // V
  std::optional<Fingerprint> fingerprint;      // where it was asked for
};

// Opens what `config` names. `saved` is the tokenizer that a resumed run kept; it goes before config.tokenizer.
//
// A char tokenizer takes its vocabulary from all of `train`, the end that becomes validation included. For token files
// the tokenizer is config.tokenizer where that is a .json file, else the file that prepare() left beside the first of
// them that has one, else none.
//
// Throws DataError for files that are missing, empty, of mixed formats, corrupt, with an id that is not below V, too
// short for one sequence, or with another tokenizer beside them (unless config.tokenizer is a .json file); ConfigError
// for settings out of range and a V that is missing or below that of a tokenizer, also of one that val comes with.
Dataset open_dataset(const DatasetConfig& config, std::shared_ptr<const Tokenizer> saved = nullptr);

// What open_dataset() finds before it reads tokens.
struct DatasetOutline {
  std::shared_ptr<const Tokenizer> tokenizer;  // null for token files that come without one
  std::int64_t vocab = 0;                      // V
};

// Throws as open_dataset() does for a new training, but for what only the tokens or characters themselves show.
DatasetOutline outline_dataset(const DatasetConfig& config);

// Whether there are files for every path and pattern. Throws DataError for a pattern that is none.
bool dataset_exists(const DatasetConfig& config);

// Tokens before the validation part: the first (1 - val_fraction), rounded down, as in nanoGPT's data preparation.
std::int64_t train_tokens(std::int64_t tokens, double val_fraction);

// Where prepare() puts the tokenizer of a token file: "corpus.bin" has "corpus.tokenizer.json" beside it.
std::filesystem::path tokenizer_path_of(const std::filesystem::path& token_file);

}  // namespace retape::data
