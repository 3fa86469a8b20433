#include "data/token_stream.h"

#include <algorithm>
#include <utility>

#include "nn/base/error.h"

namespace retape::data {
namespace {

TokenStream::Part owning_part(std::string name, std::vector<Token> tokens) {
  auto owner = std::make_shared<const std::vector<Token>>(std::move(tokens));
  const std::span<const Token> view = *owner;
  return {std::move(name), view, std::move(owner)};
}

void check_part_ids(const TokenStream::Part& part, std::int64_t vocab) {
  // The maximum of a block is a loop that vectorises; only a block with a wrong id is searched.
  constexpr std::size_t kBlock = 1 << 16;
  for (std::size_t begin = 0; begin < part.tokens.size(); begin += kBlock) {
    const auto block = part.tokens.subspan(begin, std::min(kBlock, part.tokens.size() - begin));
    Token largest = 0;
    for (const Token id : block) {
      largest = std::max(largest, id);
    }
    if (largest >= vocab) {
      const auto wrong = std::ranges::find_if(block, [&](Token id) { return id >= vocab; });
      fail<DataError>("[data] {}: token {}: expected an id below the vocabulary size {}, got {}", part.name,
                      begin + static_cast<std::size_t>(wrong - block.begin()), vocab, *wrong);
    }
  }
}

}  // namespace

TokenStream::TokenStream(std::vector<Part> parts) : parts_(std::move(parts)) {
  std::erase_if(parts_, [](const Part& part) { return part.tokens.empty(); });
  for (const Part& part : parts_) {
    starts_.push_back(size_);
    size_ += static_cast<std::int64_t>(part.tokens.size());
  }
}

TokenStream::TokenStream(std::string name, std::vector<Token> tokens)
    : TokenStream(std::vector{owning_part(std::move(name), std::move(tokens))}) {}

Token TokenStream::token(std::int64_t i) const {
  check_range(i, 1);
  const std::size_t part = part_of(i);
  return parts_[part].tokens[static_cast<std::size_t>(i - starts_[part])];
}

void TokenStream::copy(std::int64_t begin, std::span<std::int32_t> out) const {
  check_range(begin, static_cast<std::int64_t>(out.size()));
  for (std::size_t part = part_of(begin); !out.empty(); ++part) {
    const auto rest = parts_[part].tokens.subspan(static_cast<std::size_t>(begin - starts_[part]));
    const auto piece = rest.first(std::min(rest.size(), out.size()));
    std::ranges::copy(piece, out.begin());
    out = out.subspan(piece.size());
    begin += static_cast<std::int64_t>(piece.size());
  }
}

TokenStream TokenStream::slice(std::int64_t begin, std::int64_t count) const {
  check_range(begin, count);
  std::vector<Part> kept;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const auto length = static_cast<std::int64_t>(parts_[i].tokens.size());
    const std::int64_t from = std::clamp<std::int64_t>(begin - starts_[i], 0, length);
    const std::int64_t to = std::clamp<std::int64_t>(begin + count - starts_[i], 0, length);
    Part part = parts_[i];
    part.tokens = part.tokens.subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(to - from));
    kept.push_back(std::move(part));
  }
  return TokenStream(std::move(kept));
}

void TokenStream::check_ids(std::int64_t vocab) const {
  for (const Part& part : parts_) {
    check_part_ids(part, vocab);
  }
}

std::size_t TokenStream::part_of(std::int64_t i) const {
  const auto after = std::ranges::upper_bound(starts_, i);
  return after == starts_.begin() ? 0 : static_cast<std::size_t>(after - starts_.begin()) - 1;
}

void TokenStream::check_range(std::int64_t begin, std::int64_t count) const {
  require(begin >= 0 && count >= 0 && begin <= size_ && count <= size_ - begin,
          "[data] tokens: expected a range inside [0, {}), got {} from {}", size_, count, begin);
}

}  // namespace retape::data
