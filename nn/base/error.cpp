#include "nn/base/error.h"

#include <algorithm>

namespace retape {
namespace {

constexpr std::string_view kEllipsis = "...";
constexpr int kContinuationBytes = 3;  // at most, of a character in UTF-8

bool is_continuation(std::string_view text, std::size_t at) {
  return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
}

}  // namespace

std::string excerpt(std::string_view text, std::size_t longest) {
  if (text.size() <= longest) {
    return std::string(text);
  }
  const std::size_t kept = longest - std::min(longest, kEllipsis.size());
  std::size_t head = kept - kept / 3;
  std::size_t tail = text.size() - kept / 3;
  for (int i = 0; i < kContinuationBytes; ++i) {
    head -= head > 0 && is_continuation(text, head) ? 1 : 0;
    tail += is_continuation(text, tail) ? 1 : 0;
  }
  return std::string(text.substr(0, head)).append(kEllipsis).append(text.substr(tail));
}

}  // namespace retape
