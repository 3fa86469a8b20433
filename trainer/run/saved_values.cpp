#include "trainer/run/saved_values.h"

#include "data/files/json.h"
#include "nn/base/error.h"

namespace retape::trainer {
namespace {

using nlohmann::json;

std::string place_of(const Checkpoint& checkpoint, std::string_view key) {
  return fmt::format("[checkpoint] {}: state \"{}\"", checkpoint.path().string(), key);
}

const json& value_of(const Checkpoint& checkpoint, std::string_view key) {
  const auto found = checkpoint.state().find(key);
  require<DataError>(found != checkpoint.state().end(), "{}: expected a value, found none", place_of(checkpoint, key));
  return *found;
}

void require_that(bool ok, const Checkpoint& checkpoint, std::string_view key, std::string_view expected) {
  require<DataError>(ok, "{}: expected {}, got {}", place_of(checkpoint, key), expected,
                     data::shown(value_of(checkpoint, key)));
}

}  // namespace

std::int64_t saved_integer(const Checkpoint& checkpoint, std::string_view key, std::int64_t least, std::int64_t most) {
  return data::integer_of(value_of(checkpoint, key), place_of(checkpoint, key), least, most);
}

std::uint64_t saved_bits(const Checkpoint& checkpoint, std::string_view key) {
  const json& value = value_of(checkpoint, key);
  require_that(value.is_number_unsigned(), checkpoint, key, "an integer from 0 to 2^64 - 1");
  return value.get<std::uint64_t>();
}

bool saved_flag(const Checkpoint& checkpoint, std::string_view key) {
  const json& value = value_of(checkpoint, key);
  require_that(value.is_boolean(), checkpoint, key, "true or false");
  return value.get<bool>();
}

const std::string& saved_text(const Checkpoint& checkpoint, std::string_view key) {
  const json& value = value_of(checkpoint, key);
  require_that(value.is_string(), checkpoint, key, "a text");
  return value.get_ref<const std::string&>();
}

}  // namespace retape::trainer
