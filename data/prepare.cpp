#include "data/prepare.h"

#include <algorithm>
#include <array>
#include <optional>
#include <system_error>

#include "data/atomic_file.h"
#include "data/dataset.h"
#include "data/files/file_descriptor.h"
#include "data/files/follow_links.h"
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
  require_different_files(std::array{config.output, tokenizer_output, mark_beside(config.output)}, rules.place);
  require_replaceable_beside(config.output, rules);
  if (!is_same_file(tokenizer_output, config.tokenizer)) {
    require_replaceable(tokenizer_output, rules, [&] { return has_json_mark(tokenizer_output, kCommand); });
  }
}

// Tokens of another prepare() that have the same tokenizer file as `output`; nothing where there are none.
std::optional<std::filesystem::path> other_tokens_of(const std::filesystem::path& tokenizer_output,
                                                     const std::filesystem::path& output) {
  const std::filesystem::path folder = tokenizer_output.parent_path();
  std::error_code none;
  for (std::filesystem::directory_iterator at(folder.empty() ? "." : folder, none), end; !none && at != end;
       at.increment(none)) {
    const std::filesystem::path other = folder / at->path().filename();
    std::error_code absent;
    if (tokenizer_path_of(other) == tokenizer_output && !is_same_file(other, output) &&
        std::filesystem::is_regular_file(other, absent) && has_json_mark(mark_beside(other), kCommand)) {
      return other;
    }
  }
  return std::nullopt;
}

// "data.train" and "data.val" share data.tokenizer.json: with another in its place, tokens would be other texts.
void require_own_tokenizer(const PrepareConfig& config, const std::filesystem::path& tokenizer_output,
                           const Tokenizer& tokenizer) {
  std::error_code absent;
  if (config.force || !std::filesystem::exists(tokenizer_output, absent)) {
    return;
  }
  const auto other = other_tokens_of(tokenizer_output, config.output);
  require<DataError>(!other || make_tokenizer(tokenizer_output.string(), {})->to_json() == tokenizer.to_json(),
                     "[prepare] output: {} is the tokenizer of {} too, and would become another; name another output, "
                     "or encode with --tokenizer {}; --force replaces it",
                     tokenizer_output.string(), other.value_or("").string(), tokenizer_output.string());
}

std::string marked(const Tokenizer& tokenizer) {
  nlohmann::json json = parse_json(tokenizer.to_json(), "[prepare] tokenizer");
  json[kMarkKey] = kCommand;
  return json.dump();
}

void move_file(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::error_code error;
  std::filesystem::rename(from, to, error);
  if (error) {
    fail_io(from, "rename the old tokens", error.value());
  }
}

// A kill in between must leave no tokens rather than the old ones beside another vocabulary; an error leaves both.
void replace_tokenizer(AtomicFile& tokenizer_file, const std::filesystem::path& tokens) {
  const std::filesystem::path target = follow_links(tokens);
  const std::filesystem::path aside = target.string() + ".retape-old";
  std::error_code absent;
  const bool has_old = std::filesystem::exists(target, absent);
  if (has_old) {
    move_file(target, aside);
  }
  try {
    tokenizer_file.commit();
  } catch (const DataError&) {
    if (has_old) {
      move_file(aside, target);
    }
    throw;
  }
  std::filesystem::remove(aside, absent);  // also one that a kill left
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
  const bool keeps_tokenizer = is_same_file(tokenizer_output, config.tokenizer);
  if (!keeps_tokenizer) {
    require_own_tokenizer(config, tokenizer_output, *tokenizer);
  }
  // Nothing gets its name before all is on disk, which may be full.
  AtomicFile token_file(config.output);
  write_tokens(token_file, tokens, config.format);
  AtomicFile mark(mark_beside(config.output));
  write_mark(mark, token_file, kCommand);
  if (!keeps_tokenizer) {
    AtomicFile tokenizer_file(tokenizer_output);
    tokenizer_file.write(marked(*tokenizer));
    tokenizer_file.sync();
    replace_tokenizer(tokenizer_file, config.output);
  }
  mark.commit();
  token_file.commit();
  return result;
}

}  // namespace retape::data
