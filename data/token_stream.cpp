#include "data/token_stream.h"

#include <algorithm>
#include <utility>

#include "nn/base/error.h"

namespace retape::data {
namespace {

std::vector<TokenStream::Part> whole(const std::vector<std::shared_ptr<const TokenSource>>& sources) {
  std::vector<TokenStream::Part> parts;
  parts.reserve(sources.size());
  for (const auto& source : sources) {
    parts.push_back({source, 0, source->size()});
  }
  return parts;
}

// `ids` are those of the source from `begin`.
void require_below(std::int64_t vocab, const TokenSource& source, std::int64_t begin, std::span<const Token> ids) {
  // The maximum is a loop that vectorises; only ids of which one is wrong are searched.
  Token largest = 0;
  for (const Token id : ids) {
    largest = std::max(largest, id);
  }
  if (largest >= vocab) {
    const auto wrong = std::ranges::find_if(ids, [&](Token id) { return id >= vocab; });
    fail<DataError>("[data] {}: token {}: expected an id below the vocabulary size {}, got {}", source.name(),
                    begin + (wrong - ids.begin()), vocab, *wrong);
  }
}

}  // namespace

TokenStream::TokenStream(const std::vector<std::shared_ptr<const TokenSource>>& sources, std::int64_t vocab)
    : TokenStream(whole(sources), vocab) {}

TokenStream::TokenStream(std::string name, std::vector<Token> tokens)
    : TokenStream({tokens_in_memory(std::move(name), std::move(tokens))}) {}

TokenStream::TokenStream(std::vector<Part> parts, std::int64_t vocab) : parts_(std::move(parts)), vocab_(vocab) {
  std::erase_if(parts_, [](const Part& part) { return part.count == 0; });
  for (const Part& part : parts_) {
    starts_.push_back(size_);
    size_ += part.count;
  }
}

std::int32_t TokenStream::token(std::int64_t i) const {
  std::int32_t id = 0;
  copy(i, std::span(&id, 1));
  return id;
}

void TokenStream::copy(std::int64_t begin, std::span<std::int32_t> out) const {
  check_range(begin, static_cast<std::int64_t>(out.size()));
  std::vector<Token> ids;
  for (std::size_t i = part_of(begin); !out.empty(); ++i) {
    const Part& part = parts_[i];
    const std::int64_t from = begin - starts_[i];
    const auto count = std::min(static_cast<std::size_t>(part.count - from), out.size());
    ids.resize(count);
    part.source->read(part.begin + from, ids);
    require_below(vocab_, *part.source, part.begin + from, ids);
    std::ranges::copy(ids, out.begin());
    out = out.subspan(count);
    begin += static_cast<std::int64_t>(count);
  }
}

TokenStream TokenStream::slice(std::int64_t begin, std::int64_t count) const {
  check_range(begin, count);
  std::vector<Part> kept;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const std::int64_t from = std::clamp<std::int64_t>(begin - starts_[i], 0, parts_[i].count);
    const std::int64_t to = std::clamp<std::int64_t>(begin + count - starts_[i], 0, parts_[i].count);
    kept.push_back({parts_[i].source, parts_[i].begin + from, to - from});
  }
  return {std::move(kept), vocab_};
}

void TokenStream::check_ids() const {
  constexpr std::int64_t kBlock = 1 << 18;
  std::vector<Token> ids;
  for (const Part& part : parts_) {
    for (std::int64_t done = 0; done < part.count; done += kBlock) {
      ids.resize(static_cast<std::size_t>(std::min(kBlock, part.count - done)));
      part.source->read(part.begin + done, ids);
      require_below(vocab_, *part.source, part.begin + done, ids);
    }
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
