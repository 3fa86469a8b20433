// Where tokens lie: in memory, or in a file that they are read from when they are asked for.
//
// Immutable, so threads may read one at once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/token.h"

namespace retape::data {

class TokenSource {
 public:
  TokenSource(std::string name, std::int64_t size) : name_(std::move(name)), size_(size) {}
  virtual ~TokenSource() = default;

  // What messages call it, such as the path of the file.
  const std::string& name() const { return name_; }
  std::int64_t size() const { return size_; }

  // Fills `out` with the tokens from `begin`; all of them are inside the source. Throws DataError where a file no
  // longer has them.
  virtual void read(std::int64_t begin, std::span<Token> out) const = 0;

 private:
  std::string name_;
  std::int64_t size_;
};

std::shared_ptr<const TokenSource> tokens_in_memory(std::string name, std::vector<Token> tokens);

}  // namespace retape::data
