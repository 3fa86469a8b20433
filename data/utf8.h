// UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF (RFC 3629).
#pragma once

#include <string>
#include <string_view>

namespace retape::data {

struct CodePoint {
  char32_t value;
  int length;  // bytes in UTF-8; 0 where no valid code point starts
};

inline constexpr char32_t kMaxCodePoint = 0x10FFFF;

// The code point that starts at text[offset]; offset < text.size().
CodePoint decode_utf8(std::string_view text, std::size_t offset);

// Appends a valid code point to `out`.
void append_utf8(std::string& out, char32_t value);

// How a message names a character: 'é' (U+00E9), or U+000A where it has no glyph.
std::string describe(char32_t value);

}  // namespace retape::data
