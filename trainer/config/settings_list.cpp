#include "trainer/config/settings_list.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>
#include <variant>

#include "trainer/config_schema.h"
#include "trainer/config_writer.h"

namespace retape::trainer {
namespace {

std::string meaning(const schema::Key& key) {
  if (const auto* choice = std::get_if<schema::Choice>(&key.field)) {
    return fmt::format("{}", fmt::join(choice->names, ", "));
  }
  return std::string(key.about);
}

}  // namespace

std::string settings_list() {
  constexpr std::size_t kMeaningColumn = 30;
  Config defaults;
  std::string list;
  std::string_view table;
  for (const schema::Key& key : schema::keys_of(defaults)) {
    if (key.table != table) {
      table = key.table;
      list += fmt::format("[{}]\n", table);
    }
    const std::string setting = fmt::format("  {} = {}", key.name, toml_value(key.field));
    list += fmt::format("{:<{}}  {}\n", setting, kMeaningColumn, meaning(key));
  }
  return list;
}

}  // namespace retape::trainer
