// Text of unknown origin, such as a path, as it may stand in a message of one line.
#pragma once

#include <string>
#include <string_view>

namespace retape::trainer {

// The text with its control characters escaped: a newline becomes \x0a.
std::string on_one_line(std::string_view text);

// Prints "warning: " and the message to stderr, after what stdout still holds.
void print_warning(std::string_view message);

}  // namespace retape::trainer
