#include "data/prepare.h"

#include <system_error>

#include "data/atomic_file.h"
#include "data/dataset.h"
#include "data/files/file_descriptor.h"
#include "data/files/input_file.h"
#include "data/files/json.h"
#include "data/files/output_mark.h"
#include "data/marked_file.h"
#include "data/match_files.h"
#include "data/tokenizer.h"
#include "nn/base/error.h"

namespace retape::data {

namespace {

constexpr const char* kCommand = "prepare";

bool is_same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code absent;
  return std::filesystem::equivalent(a, b, absent);
}

// Text is easily named by mistake where its tokens should go.
void check_outputs(const PrepareConfig& config, const std::vector<std::filesystem::path>& inputs,
                   const std::filesystem::path& tokenizer_output) {
  OutputRules rules{.place = "[prepare] output", .command = kCommand, .read = inputs, .force = config.force};
  if (is_tokenizer_file(config.tokenizer)) {
    rules.read.emplace_back(config.tokenizer);
  }
  require_replaceable_beside(config.output, rules);
  if (!is_same_file(tokenizer_output, config.tokenizer)) {
    require_replaceable(tokenizer_output, rules, [&] { return has_json_mark(tokenizer_output, kCommand); });
  }
}

std::string marked(const Tokenizer& tokenizer) {
  nlohmann::json json = parse_json(tokenizer.to_json(), "[prepare] tokenizer");
  json[kMarkKey] = kCommand;
  return json.dump();
}

// Of a symbolic link what it leads to, as AtomicFile writes it.
void remove_old(const std::filesystem::path& output) {
  std::error_code error;
  const std::filesystem::path target = std::filesystem::canonical(output, error);
  if (error) {
    return;  // there is none
  }
  std::filesystem::remove(target, error);
  if (error) {
    fail_io(output, "remove the old tokens", error.value());
  }
}

}  // namespace

PrepareResult prepare(const PrepareConfig& config) {
  require<ConfigError>(!config.inputs.empty(), "[prepare] inputs: expected at least one path or pattern, got none");
  require<ConfigError>(config.format == FileFormat::kU16 || config.format == FileFormat::kLlmc,
                       "[prepare] format: expected u16 or llmc, got {}", to_string(config.format));

  const std::vector<std::filesystem::path> paths = match_files(config.inputs);
  const std::filesystem::path tokenizer_output =
      config.tokenizer_output.empty() ? tokenizer_path_of(config.output) : config.tokenizer_output;
  check_outputs(config, paths, tokenizer_output);
  const InputFiles files = open_files(paths);
  const auto tokenizer = make_tokenizer(config.tokenizer, files);
  std::vector<Token> tokens;
  for (const auto& file : files) {
    const std::vector<Token> more = tokenizer->encode(NamedText{file->path().string(), file->text()});
    tokens.insert(tokens.end(), more.begin(), more.end());
  }

  const PrepareResult result{static_cast<std::int64_t>(files.size()), static_cast<std::int64_t>(tokens.size()),
                             tokenizer->vocab_size(), tokenizer_output};
  AtomicFile token_file(config.output);
  write_tokens(token_file, tokens, config.format);
  token_file.sync();
  if (is_same_file(tokenizer_output, config.tokenizer)) {
    commit_with_mark(token_file, kCommand);
    return result;
  }
  AtomicFile tokenizer_file(tokenizer_output);
  tokenizer_file.write(marked(*tokenizer));
  tokenizer_file.sync();
  // A kill in between must leave no tokens rather than the old ones beside another vocabulary.
  remove_old(config.output);
  tokenizer_file.commit();
  commit_with_mark(token_file, kCommand);
  return result;
}

}  // namespace retape::data
