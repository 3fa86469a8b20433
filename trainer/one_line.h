// Text of unknown origin, such as a path or what a model has written, as a terminal may be shown it.
#pragma once

#include <string>
#include <string_view>

namespace retape::trainer {

// The text with its control characters and what is not UTF-8 escaped: a newline becomes \x0a.
std::string on_one_line(std::string_view text);

// A message as it is printed behind "error: ": together one line of fewer than 1,000 bytes.
std::string as_message(std::string_view text);

// The text for people: lines and tabs stay, other control characters are escaped as in on_one_line(), and each byte
// that is not UTF-8 becomes U+FFFD.
std::string readable(std::string_view text);

// These write to stdout: bytes as they are, readable(text), and the same at once, for whoever watches. That nobody
// listens is no reason to stop a command, whose files have everything: errors are left for the end of the program,
// which asks the stream.
void write_out(std::string_view bytes);
void print(std::string_view text);
void show(std::string_view text);

// Print "error: " or "warning: " and the message to stderr, after what stdout still holds. That nobody may read it is
// no further error.
void print_error(std::string_view message);
void print_warning(std::string_view message);

}  // namespace retape::trainer
