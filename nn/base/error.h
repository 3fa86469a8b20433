// The exceptions of Retape and the checks that throw them.
//
// A message is one line: the place in brackets, what was expected, what was found, for example
//   [layer_norm] gamma: expected [768], got [512]
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
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

// A device's memory, or the limit set for it, is exhausted. The message carries who holds what.
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

template <class E = Error, class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw E(fmt::format(format, std::forward<Args>(args)...));
}

// Throws E with the formatted message unless `ok`. Formats nothing when it is.
template <class E = Error, class... Args>
void require(bool ok, fmt::format_string<Args...> format, Args&&... args) {
  if (!ok) [[unlikely]] {
    fail<E>(format, std::forward<Args>(args)...);
  }
}

}  // namespace retape
