// How a file says which command wrote it, so that a command replaces what it wrote itself and nothing else.
//
//   JSON     has a key of its own: {"retape": "prepare", ...}
//   others   have a small file beside them, X.retape.json: {"retape": "prepare", "length": ..., "checksum": ...}. A
//   file
//            that is no longer the one described there is somebody's.
//
// A form that has another place for a mark, as safetensors has, is asked by those who know it.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace retape::data {

inline constexpr const char* kMarkKey = "retape";

// Whether the file is a JSON object with the mark of the command.
bool has_json_mark(const std::filesystem::path& file, std::string_view command);

// Whether the file is the one that the mark beside it describes, and that mark the command's.
bool has_mark_beside(const std::filesystem::path& file, std::string_view command);

// Where the mark beside a file lies: next to what its links lead to, as the bytes of a file are.
std::filesystem::path mark_beside(const std::filesystem::path& file);

// The mark of a file with the contents that `contents` has now. Throws DataError where that cannot be read.
std::string mark_text(const std::filesystem::path& contents, std::string_view command);

struct OutputRules {
  std::string place;                        // of messages: "[prepare] output"
  std::string command;                      // that writes it
  std::vector<std::filesystem::path> read;  // files that it reads
  bool force = false;                       // replaces somebody's file
};

// Throws ConfigError where two of a command's outputs are one file when their links are followed: the one would be
// written over the other.
void require_different_files(std::span<const std::filesystem::path> outputs, std::string_view place);

// Throws ConfigError where a file lies there that the command reads, by whatever name, and DataError, unless
// rules.force is set, where one does of which `is_own` does not hold. Nothing changes.
void require_replaceable(const std::filesystem::path& output, const OutputRules& rules,
                         const std::function<bool()>& is_own);

// The same for a file with its mark beside it, which must be replaceable too.
void require_replaceable_beside(const std::filesystem::path& output, const OutputRules& rules);

}  // namespace retape::data
