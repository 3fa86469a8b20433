// The exceptions of Retape and the checks that throw them.
//
// A message is one line: the place in brackets, what was expected, what was found, for example
//   [layer_norm] gamma: expected [768], got [512]
// What it quotes, a path or a name from a file, may be of any length: fail and require cut it.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace retape {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Shapes or dtypes that do not fit together.
class ShapeError : public Error {
 public:
  using Error::Error;
};

// A setting that is unknown, mistyped or impossible.
class ConfigError : public Error {
 public:
  using Error::Error;
};

// A device's memory, or the limit set for it, is exhausted. The message says who holds what.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

// A device that is missing or failed.
class DeviceError : public Error {
 public:
  using Error::Error;
};

// A collective that cannot complete: another rank died, or the ranks disagree.
class CommError : public Error {
 public:
  using Error::Error;
};

// A file that is missing, truncated, corrupt or not what it should be.
class DataError : public Error {
 public:
  using Error::Error;
};

// The longest text that a message quotes whole.
inline constexpr std::size_t kLongestQuote = 200;

// The text; where it is longer than `longest` bytes, its beginning and its end with "..." between them. Characters of
// UTF-8 stay whole.
std::string excerpt(std::string_view text, std::size_t longest = kLongestQuote);

// A part of a message that is not quoted from elsewhere, such as another message: it is not cut.
struct Whole {
  std::string_view text;
};

namespace message {

template <class T>
decltype(auto) part(const T& argument) {
  if constexpr (std::is_same_v<T, Whole>) {
    return argument.text;
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    return excerpt(argument);
  } else {
    return (argument);
  }
}

template <class... Parts>
std::string of(fmt::string_view format, const Parts&... parts) {
  return fmt::vformat(format, fmt::make_format_args(parts...));
}

}  // namespace message

// Throws E with the formatted message. Texts among the arguments are cut as excerpt() cuts them.
template <class E = Error, class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw E(message::of(format, message::part(args)...));
}

// Throws as fail() does unless `ok`. Formats nothing when it is.
template <class E = Error, class... Args>
void require(bool ok, fmt::format_string<Args...> format, Args&&... args) {
  if (!ok) [[unlikely]] {
    fail<E>(format, std::forward<Args>(args)...);
  }
}

}  // namespace retape

template <>
struct fmt::formatter<retape::Whole> : fmt::formatter<std::string_view> {
  template <class Context>
  auto format(const retape::Whole& whole, Context& context) const {
    return formatter<std::string_view>::format(whole.text, context);
  }
};
