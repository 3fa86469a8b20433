#pragma once

#include <string>
#include <string_view>

namespace retape::layering {

// The C++ text with comments and raw strings blanked out; line breaks stay, so that line numbers do too.
std::string strip_comments(std::string_view text);

}  // namespace retape::layering
