#include "data/utf8.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>

namespace retape::data {
namespace {

// A lead byte is recognised by its top bits; `smallest` is the first code point that needs this many bytes.
struct Form {
  std::uint8_t mask;
  std::uint8_t lead;
  int length;
  char32_t smallest;
};

constexpr std::array kForms{
    Form{0x80, 0x00, 1, 0x0},
    Form{0xE0, 0xC0, 2, 0x80},
    Form{0xF0, 0xE0, 3, 0x800},
    Form{0xF8, 0xF0, 4, 0x10000},
};

constexpr bool is_surrogate(char32_t value) {
  return value >= 0xD800 && value <= 0xDFFF;
}

}  // namespace

CodePoint decode_utf8(std::string_view text, std::size_t offset) {
  constexpr CodePoint kInvalid{0, 0};
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[offset + i]); };
  for (const Form& form : kForms) {
    if ((byte(0) & form.mask) != form.lead) {
      continue;
    }
    const auto length = static_cast<std::size_t>(form.length);
    if (text.size() - offset < length) {
      return kInvalid;
    }
    char32_t value = byte(0) & static_cast<std::uint8_t>(~form.mask);
    for (std::size_t i = 1; i < length; ++i) {
      if ((byte(i) & 0xC0) != 0x80) {
        return kInvalid;
      }
      value = (value << 6) | (byte(i) & 0x3F);
    }
    const bool valid = value >= form.smallest && value <= kMaxCodePoint && !is_surrogate(value);
    return valid ? CodePoint{value, form.length} : kInvalid;
  }
  return kInvalid;
}

void append_utf8(std::string& out, char32_t value) {
  const auto continuation = [&](int shift) { out += static_cast<char>(0x80 | ((value >> shift) & 0x3F)); };
  if (value < 0x80) {
    out += static_cast<char>(value);
  } else if (value < 0x800) {
    out += static_cast<char>(0xC0 | (value >> 6));
    continuation(0);
  } else if (value < 0x10000) {
    out += static_cast<char>(0xE0 | (value >> 12));
    continuation(6);
    continuation(0);
  } else {
    out += static_cast<char>(0xF0 | (value >> 18));
    continuation(12);
    continuation(6);
    continuation(0);
  }
}

std::string describe(char32_t value) {
  std::string number = fmt::format("U+{:04X}", static_cast<std::uint32_t>(value));
  const bool control = value < 0x20 || (value >= 0x7F && value < 0xA0);
  if (control) {
    return number;
  }
  std::string glyph;
  append_utf8(glyph, value);
  return fmt::format("'{}' ({})", glyph, number);
}

}  // namespace retape::data
