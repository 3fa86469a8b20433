// One sequence of tokens over parts that lie anywhere: mapped files, encoded text.
//
// A value: copies and slices share the parts' memory and keep it alive. Immutable, so threads may read it at once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/token.h"

namespace retape::data {

class TokenStream {
 public:
  struct Part {
    std::string name;  // what messages call it, such as the path of the file
    std::span<const Token> tokens;
    std::shared_ptr<const void> owner;  // keeps `tokens` where they are
  };

  // No tokens.
  TokenStream() = default;
  // The parts one after the other.
  explicit TokenStream(std::vector<Part> parts);
  // A stream that owns its tokens.
  TokenStream(std::string name, std::vector<Token> tokens);

  std::int64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // i in [0, size).
  Token token(std::int64_t i) const;

  // out[k] = token(begin + k). Throws Error for a range that is not inside the stream.
  void copy(std::int64_t begin, std::span<std::int32_t> out) const;

  // The stream of `count` tokens from `begin`. Throws Error for a range that is not inside the stream.
  TokenStream slice(std::int64_t begin, std::int64_t count) const;

  // Reads every token once. Throws DataError that names the part, the position in it and the id, for an id that is not
  // below `vocab`.
  void check_ids(std::int64_t vocab) const;

 private:
  // The part that token i is in.
  std::size_t part_of(std::int64_t i) const;
  void check_range(std::int64_t begin, std::int64_t count) const;

  std::vector<Part> parts_;           // none is empty
  std::vector<std::int64_t> starts_;  // of each part in the stream
  std::int64_t size_ = 0;
};

}  // namespace retape::data
