// Every key of a configuration: its name, what it may hold, and where in a Config it lives.
//
// Reading, writing and messages all go by this list, so that a new key is a field in config.h and a line here.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "trainer/config.h"

namespace retape::trainer::schema {

// The numbers that a key may hold; an end that is not included is written with a round bracket.
struct Interval {
  double min;
  double max;
  bool includes_min = true;
  bool includes_max = false;

  bool contains(double value) const;
};

struct Flag {
  bool* value;
};
struct Integer {
  std::int64_t* value;
  std::int64_t min;
  std::int64_t max;
};
struct Number {
  double* value;
  Interval allowed;
};
struct NumberPair {
  std::array<double, 2>* value;
  Interval allowed;
};
// A count of bytes, or a text such as "6GiB".
struct Size {
  Bytes* value;
};
struct Text {
  std::string* value;
  bool may_be_empty;
};
// A list of texts, or one text alone.
struct TextList {
  std::vector<std::string>* value;
};
// One of a closed set of names.
struct Choice {
  std::span<const std::string_view> names;
  std::function<std::size_t()> get;
  std::function<void(std::size_t)> set;
};

using Field = std::variant<Flag, Integer, Number, NumberPair, Size, Text, TextList, Choice>;

// The largest size that is read and written without rounding.
inline constexpr Bytes kMaxSize = Bytes{1} << 53;

// What the field accepts, for a message: "an integer from 1 to 4096", "a number in [0, 1)".
std::string expected(const Field& field);

struct Key {
  std::string_view table;
  std::string_view name;
  std::string_view about;  // a few words, for people; empty where the names of a choice say enough
  Field field;

  std::string full_name() const;  // "model.dim"
};

// All keys, in the order in which they are written, bound to the fields of `config`, which must outlive them.
std::vector<Key> keys_of(Config& config);

// The policy as it is written in a file.
std::string_view backend_name(BackendChoice backend);
std::string_view policy_name(CheckpointPolicy policy);

}  // namespace retape::trainer::schema
