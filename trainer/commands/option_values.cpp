#include "trainer/commands/option_values.h"

#include <algorithm>
#include <optional>

#include "trainer/config/numbers.h"
#include "trainer/config_writer.h"

namespace retape::trainer {
namespace {

void require_value(bool ok, std::string_view option, const schema::Field& field, std::string_view text) {
  require<CommandLineError>(ok, "{}: expected {}, got {}", option, schema::expected(field), quoted(text));
}

}  // namespace

std::int64_t integer_option(std::string_view option, std::string_view text, std::int64_t min, std::int64_t max) {
  const std::optional<std::int64_t> value = parse_integer(text);
  require_value(value && *value >= min && *value <= max, option, schema::Integer{nullptr, min, max}, text);
  return *value;
}

double number_option(std::string_view option, std::string_view text, const schema::Interval& allowed) {
  const std::optional<double> value = parse_number(text);
  require_value(value && allowed.contains(*value), option, schema::Number{nullptr, allowed}, text);
  return *value;
}

std::string text_option(std::string_view option, std::string_view text) {
  require_value(!text.empty(), option, schema::Text{nullptr, false}, text);
  return std::string(text);
}

std::string name_option(std::string_view option, std::string_view text, std::span<const std::string_view> names) {
  const bool known = std::ranges::find(names, text) != names.end();
  require_value(known, option, schema::Choice{names, {}, {}}, text);
  return std::string(text);
}

}  // namespace retape::trainer
