#include "tests/layering/include_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <span>

#include "tests/layering/strip_comments.h"

namespace retape::layering {
namespace {

// Each layer stands on those beside it here, and on all that these stand on.
struct Edge {
  std::string_view layer;
  std::string_view below;
};
constexpr std::array kEdges{
    Edge{"nn/runtime", "nn/base"},     Edge{"nn/tensor", "nn/runtime"},  Edge{"nn/kernels", "nn/tensor"},
    Edge{"nn/autograd", "nn/kernels"}, Edge{"nn/ops", "nn/autograd"},    Edge{"nn/layers", "nn/ops"},
    Edge{"nn/optim", "nn/layers"},     Edge{"parallel", "nn/optim"},     Edge{"checkpointing", "parallel"},
    Edge{"data/files", "nn/base"},     Edge{"data", "data/files"},       Edge{"checkpointing", "data/files"},
    Edge{"data", "nn/tensor"},         Edge{"trainer", "checkpointing"}, Edge{"trainer", "data"},
};

// A library that stays in its corner: what its headers and macros begin with, and the folders that may name them.
struct Library {
  std::string_view name;
  std::span<const std::string_view> prefixes;
  std::span<const std::string_view> folders;
};
constexpr std::array<std::string_view, 3> kOneDnn{"dnnl", "oneapi/dnnl", "onednn"};
constexpr std::array<std::string_view, 9> kCuda{"cuda", "cublas", "cudnn",   "curand", "nvcc",
                                                "nvtx", "cub/",   "cutlass", "thrust/"};
constexpr std::array<std::string_view, 1> kNccl{"nccl"};
constexpr std::array<std::string_view, 1> kMpi{"mpi"};
constexpr std::array<std::string_view, 1> kToml{"toml"};
constexpr std::array<std::string_view, 1> kInCpu{"cpu"};
constexpr std::array<std::string_view, 2> kInCuda{"cuda", "nccl"};
constexpr std::array<std::string_view, 1> kInTrainer{"trainer"};
constexpr std::array kLibraries{
    Library{"oneDNN", kOneDnn, kInCpu}, Library{"CUDA", kCuda, kInCuda},      Library{"NCCL", kNccl, kNccl},
    Library{"MPI", kMpi, kMpi},         Library{"TOML++", kToml, kInTrainer},
};

const Library* library_of(std::string_view name) {
  const auto* found = std::find_if(kLibraries.begin(), kLibraries.end(), [name](const Library& library) {
    return std::any_of(library.prefixes.begin(), library.prefixes.end(),
                       [name](std::string_view prefix) { return name.starts_with(prefix); });
  });
  return found == kLibraries.end() ? nullptr : found;
}

bool is_in(std::string_view path, std::span<const std::string_view> folders) {
  const std::string rooted = "/" + std::string(path);
  return std::any_of(folders.begin(), folders.end(), [&rooted](std::string_view folder) {
    return rooted.find(fmt::format("/{}/", folder)) != std::string::npos;
  });
}

std::string_view trim(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t\r"), text.size());
  return text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
}

// "include" for `  #  include <vector>`, and what follows it.
struct Directive {
  std::string_view name;
  std::string_view rest;
};
std::optional<Directive> directive_of(std::string_view line) {
  line = trim(line);
  if (!line.starts_with('#')) {
    return std::nullopt;
  }
  line = trim(line.substr(1));
  const auto* end = std::find_if(line.begin(), line.end(), [](char c) { return std::islower(c) == 0; });
  const auto length = static_cast<std::size_t>(end - line.begin());
  return Directive{line.substr(0, length), trim(line.substr(length))};
}

std::string check_include(std::string_view path, std::string_view operand) {
  if (operand.size() < 2 || (operand.front() != '"' && operand.front() != '<')) {
    return {};  // a macro, as Highway's foreach_target.h wants it
  }
  const bool quoted = operand.front() == '"';
  const std::string_view header = operand.substr(1, operand.find(quoted ? '"' : '>', 1) - 1);
  const std::string_view layer = layer_of(path);
  if (const std::string_view other = layer_of(header); !other.empty()) {
    return may_include(layer, other) ? "" : fmt::format("{} may not include {}", layer, header);
  }
  if (quoted) {
    return fmt::format("\"{}\": expected a path from the root into a layer, or <...> for a library", header);
  }
  const Library* library = library_of(header);
  if (library != nullptr && !is_in(path, library->folders)) {
    return fmt::format("{}'s <{}> belongs under {}/", library->name, header, fmt::join(library->folders, "/ or "));
  }
  return {};
}

// The condition of an #if must not choose a backend: absent.cpp does. A backend may ask for its own library's version.
std::string check_condition(std::string_view path, std::string_view condition) {
  std::string word;
  for (const char c : std::string(condition) + ' ') {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      continue;
    }
    const Library* library = library_of(word);
    if (word == "retape" || (library != nullptr && !is_in(path, library->folders))) {
      return fmt::format("no #if may choose a backend or read a build option: {}", condition);
    }
    word.clear();
  }
  return {};
}

}  // namespace

std::string_view layer_of(std::string_view path) {
  const auto holds = [path](std::string_view layer) {
    return path.starts_with(layer) && path.substr(layer.size()).starts_with('/');
  };
  for (const Edge& edge : kEdges) {
    if (holds(edge.layer)) {
      return edge.layer;
    }
    if (holds(edge.below)) {
      return edge.below;
    }
  }
  return {};
}

bool may_include(std::string_view layer, std::string_view other) {
  return layer == other || std::any_of(kEdges.begin(), kEdges.end(), [=](const Edge& edge) {
           return edge.layer == layer && may_include(edge.below, other);
         });
}

std::vector<std::string> violations(std::string_view path, std::string_view text) {
  if (layer_of(path).empty()) {
    return {fmt::format("{}:1: belongs to no layer", path)};
  }
  std::vector<std::string> found;
  const std::string code = strip_comments(text);
  std::string line;
  int line_number = 0;
  for (std::size_t begin = 0; begin < code.size();) {
    const std::size_t end = std::min(code.find('\n', begin), code.size());
    line += code.substr(begin, end - begin);
    begin = end + 1;
    ++line_number;
    if (line.ends_with('\\')) {
      line.back() = ' ';
      continue;
    }
    if (const auto directive = directive_of(line)) {
      const bool condition = directive->name == "if" || directive->name.starts_with("elif") ||
                             directive->name.starts_with("ifdef") || directive->name.starts_with("ifndef");
      const std::string message = directive->name == "include" ? check_include(path, directive->rest)
                                  : condition                  ? check_condition(path, directive->rest)
                                                               : std::string();
      if (!message.empty()) {
        found.push_back(fmt::format("{}:{}: {}", path, line_number, message));
      }
    }
    line.clear();
  }
  return found;
}

}  // namespace retape::layering
