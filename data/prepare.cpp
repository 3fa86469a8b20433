#include "data/prepare.h"

#include <system_error>

#include "data/atomic_file.h"
#include "data/dataset.h"
#include "data/files/file_descriptor.h"
#include "data/files/input_file.h"
#include "data/match_files.h"
#include "data/tokenizer.h"
#include "nn/base/error.h"

namespace retape::data {

namespace {

// Text is easily named by mistake where its tokens should go.
void check_output(const std::filesystem::path& output, const InputFiles& inputs) {
  for (const auto& input : inputs) {
    std::error_code ignored;
    require<ConfigError>(!std::filesystem::equivalent(output, input->path(), ignored),
                         "[prepare] output: {} is one of the inputs", output.string());
  }
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

  const InputFiles files = open_files(match_files(config.inputs));
  check_output(config.output, files);
  const FileTexts texts(files);
  const auto tokenizer = make_tokenizer(config.tokenizer, texts.named());
  std::vector<Token> tokens;
  for (const NamedText& text : texts.named()) {
    const std::vector<Token> more = tokenizer->encode(text);
    tokens.insert(tokens.end(), more.begin(), more.end());
  }

  PrepareResult result{static_cast<std::int64_t>(files.size()), static_cast<std::int64_t>(tokens.size()),
                       tokenizer->vocab_size(), config.tokenizer_output};
  if (result.tokenizer_output.empty()) {
    result.tokenizer_output = tokenizer_path_of(config.output);
  }
  AtomicFile token_file(config.output);
  AtomicFile tokenizer_file(result.tokenizer_output);
  write_tokens(token_file, tokens, config.format);
  tokenizer_file.write(tokenizer->to_json());
  token_file.sync();
  tokenizer_file.sync();
  // A kill in between must leave no tokens rather than the old ones beside another vocabulary.
  remove_old(config.output);
  tokenizer_file.commit();
  token_file.commit();
  return result;
}

}  // namespace retape::data
