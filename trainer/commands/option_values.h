// Values of the command line's options, checked as settings are.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "nn/base/error.h"
#include "trainer/config_schema.h"

namespace retape::trainer {

// A command line that is wrong itself. The program's status tells it from every other error.
class CommandLineError : public Error {
 public:
  using Error::Error;
};

// The value of `option`, or CommandLineError, which names it: "--tokens: expected an integer from 0 to 9, got "ten"".
std::int64_t integer_option(std::string_view option, std::string_view text, std::int64_t min, std::int64_t max);
double number_option(std::string_view option, std::string_view text, const schema::Interval& allowed);
std::string text_option(std::string_view option, std::string_view text);  // not empty
std::string name_option(std::string_view option, std::string_view text, std::span<const std::string_view> names);

}  // namespace retape::trainer
