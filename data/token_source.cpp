#include "data/token_source.h"

#include <algorithm>

namespace retape::data {
namespace {

class TokensInMemory final : public TokenSource {
 public:
  TokensInMemory(std::string name, std::vector<Token> tokens)
      : TokenSource(std::move(name), static_cast<std::int64_t>(tokens.size())), tokens_(std::move(tokens)) {}

  void read(std::int64_t begin, std::span<Token> out) const override {
    std::copy_n(tokens_.begin() + begin, out.size(), out.begin());
  }

 private:
  std::vector<Token> tokens_;
};

}  // namespace

std::shared_ptr<const TokenSource> tokens_in_memory(std::string name, std::vector<Token> tokens) {
  return std::make_shared<const TokensInMemory>(std::move(name), std::move(tokens));
}

}  // namespace retape::data
