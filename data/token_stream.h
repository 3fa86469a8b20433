// One sequence of tokens over parts that lie anywhere: token files, encoded text.
//
// A value: copies and slices share the parts' sources and keep them alive. Immutable, so threads may read it at once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/token.h"
#include "data/token_source.h"

namespace retape::data {

class TokenStream {
 public:
  // `count` tokens of the source from `begin`.
  struct Part {
    std::shared_ptr<const TokenSource> source;
    std::int64_t begin = 0;
    std::int64_t count = 0;
  };

  // No tokens.
  TokenStream() = default;
  // The sources one after the other. Every id that is read must be below `vocab`.
  explicit TokenStream(const std::vector<std::shared_ptr<const TokenSource>>& sources, std::int64_t vocab = kMaxVocab);
  // A stream that owns its tokens.
  TokenStream(std::string name, std::vector<Token> tokens);

  std::int64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // None is empty.
  const std::vector<Part>& parts() const { return parts_; }

  // i in [0, size). Throws as copy() does.
  std::int32_t token(std::int64_t i) const;

  // out[k] = token(begin + k). Throws Error for a range that is not inside the stream, and DataError for a source that
  // no longer has the tokens, or that has an id that is not below the vocabulary: it names the source, the position in
  // it and the id. A file can be written to while it is in use, so that ids are looked at whenever they are read.
  void copy(std::int64_t begin, std::span<std::int32_t> out) const;

  // The stream of `count` tokens from `begin`. Throws Error for a range that is not inside the stream.
  TokenStream slice(std::int64_t begin, std::int64_t count) const;

  // Reads every token once. Throws as copy() does.
  void check_ids() const;

 private:
  TokenStream(std::vector<Part> parts, std::int64_t vocab);

  // The part that token i is in.
  std::size_t part_of(std::int64_t i) const;
  void check_range(std::int64_t begin, std::int64_t count) const;

  std::vector<Part> parts_;
  std::vector<std::int64_t> starts_;  // of each part in the stream
  std::int64_t size_ = 0;
  std::int64_t vocab_ = kMaxVocab;
};

}  // namespace retape::data
