#include "data/expand_braces.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "nn/base/error.h"

namespace retape::data {
namespace {

using std::string_view;

using Names = std::vector<std::string>;

constexpr std::size_t kNone = string_view::npos;

// For each brace that opens where its other is.
std::vector<std::size_t> pair_braces(string_view pattern) {
  std::vector<std::size_t> others(pattern.size(), kNone);
  std::vector<std::size_t> open;
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    if (pattern[at] == '\\') {
      ++at;
    } else if (pattern[at] == '{') {
      open.push_back(at);
    } else if (pattern[at] == '}' && !open.empty()) {
      others[open.back()] = at;
      open.pop_back();
    }
  }
  return others;
}

class Expansion {
 public:
  explicit Expansion(string_view pattern) : pattern_(pattern), others_(pair_braces(pattern)) {}

  Names expand() const { return expand(0, pattern_.size(), 0); }

 private:
  // The part of the pattern from `begin` up to `end`.
  Names expand(std::size_t begin, std::size_t end, std::size_t depth) const {
    require<DataError>(depth <= kMostBraces, "[data] {}: expected at most {} braces within each other, got more",
                       pattern_, kMostBraces);
    Names names{""};
    for (std::size_t at = begin; at < end;) {
      if (is_group(at)) {
        names = products(names, alternatives(at, depth));
        at = others_[at] + 1;
      } else {
        const std::size_t next = std::min(end_of_plain(at), end);
        for (std::string& name : names) {
          name += pattern_.substr(at, next - at);
        }
        at = next;
      }
    }
    return names;
  }

  // Whether it begins alternatives: "{}" is none, as in `find -exec`.
  bool is_group(std::size_t at) const { return others_[at] != kNone && others_[at] > at + 1; }

  // The end of what stands for itself.
  std::size_t end_of_plain(std::size_t at) const {
    do {
      at += pattern_[at] == '\\' ? 2 : 1;
    } while (at < pattern_.size() && !is_group(at));
    return at;
  }

  Names alternatives(std::size_t open, std::size_t depth) const {
    Names all;
    const std::size_t close = others_[open];
    for (std::size_t begin = open + 1; begin <= close;) {
      const std::size_t end = end_of_alternative(begin, close);
      for (std::string& name : expand(begin, end, depth + 1)) {
        all.push_back(std::move(name));
      }
      require_few(all.size());
      begin = end + 1;
    }
    return all;
  }

  // The next comma that is in no other braces, or the end of these.
  std::size_t end_of_alternative(std::size_t at, std::size_t close) const {
    while (at < close && pattern_[at] != ',') {
      at = pattern_[at] == '\\' ? at + 2 : others_[at] != kNone ? others_[at] + 1 : at + 1;
    }
    return std::min(at, close);
  }

  Names products(const Names& beginnings, const Names& ends) const {
    require_few(beginnings.size() * ends.size());
    Names all;
    for (const std::string& beginning : beginnings) {
      for (const std::string& end : ends) {
        all.push_back(beginning + end);
      }
    }
    return all;
  }

  void require_few(std::size_t names) const {
    require<DataError>(names <= kMostNames, "[data] {}: expected braces for at most {} names, got more", pattern_,
                       kMostNames);
  }

  string_view pattern_;
  std::vector<std::size_t> others_;
};

}  // namespace

std::vector<std::string> expand_braces(const std::string& pattern) {
  return Expansion(pattern).expand();
}

}  // namespace retape::data
