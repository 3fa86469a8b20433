#include "trainer/config_writer.h"

#include <fmt/format.h>

#include <array>

#include "trainer/activation_settings.h"
#include "trainer/config_schema.h"

namespace retape::trainer {
namespace {

// The shortest digits that read back as the same number, in a form that TOML takes for a float.
std::string number(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) {
    text += ".0";
  }
  return text;
}

std::string size(Bytes bytes) {
  struct Unit {
    std::string_view name;
    Bytes bytes;
  };
  constexpr std::array kUnits{Unit{"GiB", 1_GiB}, Unit{"MiB", 1_MiB}, Unit{"KiB", 1_KiB}};
  for (const Unit& unit : kUnits) {
    if (bytes != 0 && bytes % unit.bytes == 0) {
      return fmt::format("\"{}{}\"", bytes / unit.bytes, unit.name);
    }
  }
  return fmt::format("\"{}\"", bytes);
}

struct Value {
  std::string operator()(const schema::Flag& field) const { return *field.value ? "true" : "false"; }
  std::string operator()(const schema::Integer& field) const { return fmt::format("{}", *field.value); }
  std::string operator()(const schema::Number& field) const { return number(*field.value); }
  std::string operator()(const schema::NumberPair& field) const {
    return fmt::format("[{}, {}]", number((*field.value)[0]), number((*field.value)[1]));
  }
  std::string operator()(const schema::Size& field) const { return size(*field.value); }
  // With its namespace, since std::quoted is found for a string too.
  std::string operator()(const schema::Text& field) const { return trainer::quoted(*field.value); }
  std::string operator()(const schema::TextList& field) const {
    std::string list;
    for (const std::string& text : *field.value) {
      list += (list.empty() ? "" : ", ") + trainer::quoted(text);
    }
    return "[" + list + "]";
  }
  std::string operator()(const schema::Choice& field) const { return quoted(field.names[field.get()]); }
};

// What has no effect is refused when read, so it is not written. Nor is DeepSpeed's file, whose settings are.
bool is_in_force(const Config& config, const schema::Key& key) {
  return key.table != "activation_checkpointing" ||
         (key.name != "deepspeed_config" && what_disables(config.activation_checkpointing, key.name).empty());
}

}  // namespace

std::string to_toml(const Config& config) {
  Config copy = config;  // keys_of binds to fields that may be written
  std::string text = "# Every setting in force, defaults included.\n";
  std::string_view table;
  for (const schema::Key& key : schema::keys_of(copy)) {
    if (key.table != table) {
      table = key.table;
      text += fmt::format("\n[{}]\n", table);
    }
    if (is_in_force(copy, key)) {
      text += fmt::format("{} = {}\n", key.name, toml_value(key.field));
    }
  }
  return text;
}

std::string toml_value(const schema::Field& field) {
  return std::visit(Value{}, field);
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (code < 0x20 || code == 0x7f) {
          out += fmt::format("\\u{:04X}", code);
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

}  // namespace retape::trainer
