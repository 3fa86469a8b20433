#include "data/dataset.h"

#include <algorithm>
#include <system_error>
#include <utility>
#include <vector>

#include "data/batch.h"
#include "data/files/input_file.h"
#include "data/match_files.h"
#include "nn/base/error.h"

namespace retape::data {
namespace {

std::string listed(const std::vector<std::string>& patterns) {
  std::string text;
  for (const std::string& pattern : patterns) {
    text += (text.empty() ? "" : ", ") + pattern;
  }
  return text;
}

void check_config(const DatasetConfig& config) {
  require<ConfigError>(!config.train.empty(), "[data] train: expected a path or a pattern, got none");
  require<ConfigError>(config.val_fraction >= 0 && config.val_fraction < 1,
                       "[data] val_fraction: expected a number from 0 up to but not including 1, got {}",
                       config.val_fraction);
  require<ConfigError>(config.vocab >= 0, "[data] vocabulary size: expected at least 1, got {}", config.vocab);
  require<ConfigError>(config.seq_len > 0, "[data] sequence length: expected at least 1, got {}", config.seq_len);
}

// The format that all files share.
FileFormat common_format(const InputFiles& files, FileFormat configured) {
  if (configured != FileFormat::kAuto) {
    return configured;
  }
  const FileFormat first = detect_format(*files.front());
  for (const auto& file : files) {
    const FileFormat format = detect_format(*file);
    require<DataError>(format == first, "[data] {}: expected {} as in {}, got {}", file->path().string(),
                       to_string(first), files.front()->path().string(), to_string(format));
  }
  return first;
}

// A tokenizer and whose it is, for messages. The tokenizer is null where there is none.
struct OwnedTokenizer {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string owner;
};

// The tokenizers that prepare() left beside token files; none where one is named by its path, which overrules them.
std::vector<OwnedTokenizer> tokenizers_beside(const DatasetConfig& config, const InputFiles& files, FileFormat format) {
  std::vector<OwnedTokenizer> found;
  if (format == FileFormat::kText || is_tokenizer_file(config.tokenizer)) {
    return found;
  }
  for (const auto& file : files) {
    const std::filesystem::path beside = tokenizer_path_of(file->path());
    std::error_code ignored;
    if (std::filesystem::exists(beside, ignored)) {
      found.push_back({make_tokenizer(beside.string(), {}), beside.string()});
    }
  }
  return found;
}

// What patterns name: files of one format.
struct FileSet {
  InputFiles files;
  FileFormat format = FileFormat::kAuto;
  std::vector<OwnedTokenizer> beside;  // of token files
};

FileSet open_file_set(const DatasetConfig& config, const std::vector<std::string>& patterns) {
  FileSet set{.files = open_files(match_files(patterns))};
  set.format = common_format(set.files, config.format);
  set.beside = tokenizers_beside(config, set.files, set.format);
  return set;
}

OwnedTokenizer choose_tokenizer(const DatasetConfig& config, const FileSet& train) {
  if (train.format == FileFormat::kText || is_tokenizer_file(config.tokenizer)) {
    return {make_tokenizer(config.tokenizer, train.files), train.files.front()->path().string()};
  }
  return train.beside.empty() ? OwnedTokenizer() : train.beside.front();
}

// Equal ids of different tokenizers mean different texts.
void require_same(const OwnedTokenizer& own, const std::vector<OwnedTokenizer>& beside) {
  for (const OwnedTokenizer& other : beside) {
    require<DataError>(own.tokenizer == nullptr || own.tokenizer->to_json() == other.tokenizer->to_json(),
                       "[data] {}: expected the tokenizer of {}, of {} tokens, got another one, of {}", other.owner,
                       own.owner, own.tokenizer == nullptr ? 0 : own.tokenizer->vocab_size(),
                       other.tokenizer->vocab_size());
  }
}

// Of tokens to validate on, where those to train on come without one.
void require_fit(const std::vector<OwnedTokenizer>& tokenizers, std::int64_t vocab) {
  for (const OwnedTokenizer& one : tokenizers) {
    require<ConfigError>(one.tokenizer->vocab_size() <= vocab,
                         "[data] vocabulary size: expected at least the {} of {}, got {}", one.tokenizer->vocab_size(),
                         one.owner, vocab);
  }
}

std::int64_t choose_vocab(const DatasetConfig& config, const Tokenizer* tokenizer) {
  require<ConfigError>(config.vocab > 0 || tokenizer != nullptr,
                       "[data] {}: token files without a tokenizer need the model's vocabulary size",
                       listed(config.train));
  if (config.vocab == 0) {
    return tokenizer->vocab_size();
  }
  require<ConfigError>(tokenizer == nullptr || tokenizer->vocab_size() <= config.vocab,
                       "[data] vocabulary size: expected at least the tokenizer's {}, got {}",
                       tokenizer == nullptr ? 0 : tokenizer->vocab_size(), config.vocab);
  return config.vocab;
}

// Throws where the tokenizers of training and validation do not go together or have ids that the model has not; returns
// V.
std::int64_t check_tokenizers(const DatasetConfig& config, const OwnedTokenizer& own, const FileSet& train,
                              const FileSet& val) {
  require_same(own, train.beside);
  const std::int64_t vocab = choose_vocab(config, own.tokenizer.get());
  require_same(own, val.beside);
  require_fit(val.beside, vocab);
  return vocab;
}

using Sources = std::vector<std::shared_ptr<const TokenSource>>;

void require_tokenizer(const FileSet& set, const Tokenizer* tokenizer) {
  require<DataError>(set.format != FileFormat::kText || tokenizer != nullptr, "[data] {}: text needs a tokenizer",
                     set.files.empty() ? "" : set.files.front()->path().string());
}

// Text is read and encoded file by file, so that no more than one of them is in memory beside the tokens.
Sources open_sources(const FileSet& set, const Tokenizer* tokenizer) {
  require_tokenizer(set, tokenizer);
  Sources sources;
  for (const auto& file : set.files) {
    const std::string path = file->path().string();
    if (set.format == FileFormat::kText) {
      sources.push_back(tokens_in_memory(path, tokenizer->encode(NamedText{path, file->text()})));
    } else {
      sources.push_back(open_token_file(file, set.format));
    }
  }
  return sources;
}

// Refused now, rather than in the hour in which the row is drawn.
TokenStream checked(const Sources& sources, std::int64_t vocab) {
  TokenStream stream(sources, vocab);
  stream.check_ids();
  return stream;
}

// Of the tokens that `train` and `val` name; the latter are none where `val` is empty.
void check_lengths(const DatasetConfig& config, std::int64_t train, std::int64_t val) {
  if (!config.val.empty()) {
    check_length(train, config.seq_len, listed(config.train));
    check_length(val, config.seq_len, listed(config.val));
    return;
  }
  const std::int64_t before = train_tokens(train, config.val_fraction);
  check_length(before, config.seq_len, listed(config.train));
  if (config.val_fraction > 0) {
    check_length(train - before, config.seq_len,
                 fmt::format("{}: validation part (val_fraction {})", listed(config.train), config.val_fraction));
  }
}

// From the sizes of token files, and of text from its characters.
std::int64_t count_tokens(const FileSet& set, const Tokenizer* tokenizer) {
  std::int64_t count = 0;
  for (const auto& file : set.files) {
    count += set.format == FileFormat::kText ? tokenizer->count(*file) : open_token_file(file, set.format)->size();
  }
  return count;
}

}  // namespace

Dataset open_dataset(const DatasetConfig& config, std::shared_ptr<const Tokenizer> saved) {
  check_config(config);
  const FileSet train_files = open_file_set(config, config.train);
  const FileSet val_files = config.val.empty() ? FileSet() : open_file_set(config, config.val);
  const OwnedTokenizer own =
      saved != nullptr ? OwnedTokenizer{std::move(saved), "the resumed run"} : choose_tokenizer(config, train_files);
  Dataset dataset{.tokenizer = own.tokenizer};
  dataset.vocab = check_tokenizers(config, own, train_files, val_files);
  const Sources train = open_sources(train_files, own.tokenizer.get());
  const Sources val = open_sources(val_files, own.tokenizer.get());
  dataset.train = checked(train, dataset.vocab);
  dataset.val = checked(val, dataset.vocab);
  check_lengths(config, dataset.train.size(), dataset.val.size());
  if (config.val.empty()) {
    const TokenStream all = std::move(dataset.train);
    const std::int64_t count = train_tokens(all.size(), config.val_fraction);
    dataset.train = all.slice(0, count);
    dataset.val = all.slice(count, all.size() - count);
  }
  if (config.fingerprint) {
    dataset.fingerprint = {fingerprint(train), fingerprint(val)};
  }
  return dataset;
}

DatasetOutline outline_dataset(const DatasetConfig& config) {
  check_config(config);
  const FileSet train = open_file_set(config, config.train);
  const FileSet val = config.val.empty() ? FileSet() : open_file_set(config, config.val);
  const OwnedTokenizer own = choose_tokenizer(config, train);
  DatasetOutline outline{.tokenizer = own.tokenizer, .vocab = check_tokenizers(config, own, train, val)};
  require_tokenizer(val, own.tokenizer.get());
  check_lengths(config, count_tokens(train, own.tokenizer.get()), count_tokens(val, own.tokenizer.get()));
  return outline;
}

bool dataset_exists(const DatasetConfig& config) {
  return std::ranges::all_of(config.train, any_file_matches) && std::ranges::all_of(config.val, any_file_matches);
}

std::int64_t train_tokens(std::int64_t tokens, double val_fraction) {
  return static_cast<std::int64_t>(static_cast<double>(tokens) * (1.0 - val_fraction));
}

std::filesystem::path tokenizer_path_of(const std::filesystem::path& token_file) {
  std::filesystem::path path = token_file;
  return path.replace_extension(".tokenizer.json");
}

}  // namespace retape::data
