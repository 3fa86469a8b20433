#include "trainer/config_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "nn/base/error.h"
#include "trainer/config/toml_nesting.h"
#include "trainer/config_schema.h"
#include "trainer/config_writer.h"
#include "trainer/nearest_name.h"
#include "trainer/one_line.h"
#include "trainer/tomlplusplus.h"

namespace retape::trainer {
namespace {

using schema::Key;
using std::string_view;

// A configuration is a page of text; what is larger was named by mistake, and could nest deeper than the stack.
constexpr std::size_t kLargestFile = std::size_t{64} * 1024;

// ---------------------------------------------------------------------------------------------- places

// Where a piece of TOML stands, as a message names it.
class Source {
 public:
  static Source of_file(const std::filesystem::path& file) { return {on_one_line(file.string()), false}; }
  static Source of_override(string_view setting) { return {"--set " + on_one_line(setting), true}; }

  std::string at(const toml::source_region& region) const {
    return is_override_ ? name_ : fmt::format("{}:{}:{}", name_, region.begin.line, region.begin.column);
  }
  const std::string& name() const { return name_; }
  bool is_override() const { return is_override_; }

 private:
  Source(std::string name, bool is_override) : name_(std::move(name)), is_override_(is_override) {}

  std::string name_;
  bool is_override_;
};

// ---------------------------------------------------------------------------------------------- values

std::string describe(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string: return "the string " + trainer::quoted(node.as_string()->get());
    case toml::node_type::integer: return fmt::format("the integer {}", node.as_integer()->get());
    case toml::node_type::floating_point: return fmt::format("the number {}", node.as_floating_point()->get());
    case toml::node_type::boolean: return node.as_boolean()->get() ? "true" : "false";
    case toml::node_type::array: return fmt::format("an array of {}", node.as_array()->size());
    case toml::node_type::table: return "a table";
    default: return "a date or time";
  }
}

// Stores a value of TOML in a field, which it visits.
class Assignment {
 public:
  Assignment(const Key& key, const toml::node& node, const Source& source) : key_(key), node_(node), source_(source) {}

  void operator()(const schema::Flag& field) const {
    require_that(node_.is_boolean(), node_);
    *field.value = node_.as_boolean()->get();
  }

  void operator()(const schema::Integer& field) const {
    require_that(node_.is_integer(), node_);
    const std::int64_t value = node_.as_integer()->get();
    require_that(value >= field.min && value <= field.max, node_);
    *field.value = value;
  }

  void operator()(const schema::Number& field) const { *field.value = number(node_, field.allowed); }

  void operator()(const schema::NumberPair& field) const {
    const toml::array* array = node_.as_array();
    require_that(array != nullptr && array->size() == 2, node_);
    *field.value = {number((*array)[0], field.allowed), number((*array)[1], field.allowed)};
  }

  void operator()(const schema::Size& field) const {
    Bytes bytes = -1;
    if (node_.is_integer()) {
      bytes = node_.as_integer()->get();
    } else if (node_.is_string()) {
      try {
        bytes = parse_bytes(node_.as_string()->get());
      } catch (const ConfigError&) {
        reject(node_);  // says where, which parse_bytes cannot know
      }
    }
    require_that(bytes >= 0 && bytes <= schema::kMaxSize, node_);
    *field.value = bytes;
  }

  void operator()(const schema::Text& field) const {
    *field.value = text(node_);
    require_that(field.may_be_empty || !field.value->empty(), node_);
  }

  void operator()(const schema::TextList& field) const {
    std::vector<std::string> list;
    if (const toml::array* array = node_.as_array()) {
      for (const toml::node& element : *array) {
        list.push_back(text(element));
        require_that(!list.back().empty(), element);
      }
    } else {
      list.push_back(text(node_));
      require_that(!list.back().empty(), node_);
    }
    *field.value = std::move(list);
  }

  void operator()(const schema::Choice& field) const {
    const std::string name = node_.is_string() ? node_.as_string()->get() : "";
    const auto found = std::find(field.names.begin(), field.names.end(), name);
    if (found == field.names.end()) {
      const auto nearest = nearest_name(name, field.names);
      reject(node_, nearest ? fmt::format("; did you mean \"{}\"?", *nearest) : "");
    }
    field.set(static_cast<std::size_t>(found - field.names.begin()));
  }

 private:
  void require_that(bool ok, const toml::node& culprit) const {
    if (!ok) {
      reject(culprit);
    }
  }

  [[noreturn]] void reject(const toml::node& culprit, string_view hint = "") const {
    fail<ConfigError>("{}: {}: expected {}, got {}{}", source_.at(culprit.source()), key_.full_name(),
                      schema::expected(key_.field), describe(culprit), hint);
  }

  double number(const toml::node& node, const schema::Interval& allowed) const {
    const std::optional<double> value = node.is_number() ? node.value<double>() : std::nullopt;
    require_that(value && allowed.contains(*value), node);
    // Kernels compute with it in f32, where 1e-50 is 0, which often turns something off, and 1e300 infinite.
    const auto in_f32 = static_cast<float>(*value);
    if ((in_f32 == 0 && *value != 0) || !allowed.contains(in_f32)) {
      reject(node, fmt::format(", which is {} in single precision", in_f32));
    }
    return *value;
  }

  std::string text(const toml::node& node) const {
    require_that(node.is_string(), node);
    const std::string& text = node.as_string()->get();
    require_that(text.find('\0') == std::string::npos, node);  // the system would take a path up to there
    return text;
  }

  const Key& key_;
  const toml::node& node_;
  const Source& source_;
};

// ---------------------------------------------------------------------------------------------- names

// The keys of one Config, and the messages about names that are none.
class KeyList {
 public:
  explicit KeyList(Config& config) : keys_(schema::keys_of(config)) {}

  // The key, or null where there is none of that name.
  const Key* find(string_view table, string_view name) const {
    const auto found = std::find_if(keys_.begin(), keys_.end(),
                                    [&](const Key& key) { return key.table == table && key.name == name; });
    return found == keys_.end() ? nullptr : &*found;
  }

  bool has_table(string_view table) const {
    return std::any_of(keys_.begin(), keys_.end(), [&](const Key& key) { return key.table == table; });
  }

  [[noreturn]] void reject_table(const std::string& place, string_view table) const {
    if (const Key* key = find_anywhere(table)) {
      fail<ConfigError>("{}: \"{}\" stands outside of its table; did you mean \"{}\"?", place, table, key->full_name());
    }
    std::vector<string_view> tables;
    for (const Key& key : keys_) {
      if (tables.empty() || tables.back() != key.table) {
        tables.push_back(key.table);
      }
    }
    fail<ConfigError>("{}: unknown table {}; {}", place, quoted(table), Whole{suggest_name(table, tables)});
  }

  [[noreturn]] void reject_key(const std::string& place, string_view table, string_view name) const {
    if (const Key* key = find_anywhere(name)) {
      fail<ConfigError>("{}: unknown key \"{}\" in [{}]; did you mean \"{}\"?", place, name, table, key->full_name());
    }
    std::vector<string_view> names;
    for (const Key& key : keys_) {
      if (key.table == table) {
        names.push_back(key.name);
      }
    }
    fail<ConfigError>("{}: unknown key {} in [{}]; {}", place, quoted(name), table, Whole{suggest_name(name, names)});
  }

 private:
  const Key* find_anywhere(string_view name) const {
    const auto found = std::find_if(keys_.begin(), keys_.end(), [&](const Key& key) { return key.name == name; });
    return found == keys_.end() ? nullptr : &*found;
  }

  std::vector<Key> keys_;
};

void store(const Key& key, const toml::node& node, const Source& source, ConfigOrigins& origins) {
  std::visit(Assignment(key, node, source), key.field);
  origins.record(key.full_name(), source.at(node.source()), source.is_override());
}

// ---------------------------------------------------------------------------------------------- files

std::string contents_of(const std::filesystem::path& file) {
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  std::string text(kLargestFile + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  const bool complete = stream.eof() && !stream.bad();
  const auto size = static_cast<std::size_t>(stream.gcount());
  require<ConfigError>(complete || size > kLargestFile, "{}: cannot read the configuration: {}",
                       on_one_line(file.string()), std::strerror(errno));
  require<ConfigError>(size <= kLargestFile, "{}: expected a configuration of at most {}, got a larger file",
                       on_one_line(file.string()), format_bytes(kLargestFile));
  text.resize(size);
  return text;
}

toml::table parse_file(const std::filesystem::path& file, const Source& source) {
  const std::string text = contents_of(file);
  if (const std::size_t deep = find_deep_key(text); deep != std::string::npos) {
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(deep), '\n');
    fail<ConfigError>("{}:{}: expected keys of at most {} names, got more", source.name(), line, kMostNamesInKey);
  }
  try {
    return toml::parse(text, file.string());
  } catch (const toml::parse_error& error) {
    fail<ConfigError>("{}: not valid TOML: {}", source.at(error.source()), on_one_line(error.description()));
  }
}

// ---------------------------------------------------------------------------------------------- overrides

// The value as a string of TOML. None where it is not UTF-8, which TOML cannot hold.
std::optional<toml::table> parse_as_text(string_view value) {
  try {
    return toml::parse("value = " + quoted(value));
  } catch (const toml::parse_error&) {
    return std::nullopt;
  }
}

std::optional<toml::table> parse_as_toml(string_view value) {
  const bool is_one_line = value.find('\n') == string_view::npos;  // else it could be more than a value
  if (!is_one_line || value.size() > kLargestFile || find_deep_key(value) != string_view::npos) {
    return std::nullopt;
  }
  try {
    return toml::parse("value = " + std::string(value));
  } catch (const toml::parse_error&) {
    return std::nullopt;
  }
}

// Whether the key takes 7 or true for a text rather than for what TOML says it is.
bool takes_for_text(const Key& key, const toml::node& node) {
  const bool is_text = std::holds_alternative<schema::Text>(key.field) ||
                       std::holds_alternative<schema::TextList>(key.field) ||
                       std::holds_alternative<schema::Size>(key.field);
  return is_text && !node.is_string() && !node.is_array();
}

}  // namespace

void read_config_file(const std::filesystem::path& file, Config& config, ConfigOrigins& origins) {
  const Source source = Source::of_file(file);
  const KeyList keys(config);
  const toml::table root = parse_file(file, source);
  for (const auto& [table_name, table_node] : root) {
    if (!keys.has_table(table_name.str())) {
      keys.reject_table(source.at(table_name.source()), table_name.str());
    }
    const toml::table* table = table_node.as_table();
    if (table == nullptr) {
      fail<ConfigError>("{}: {}: expected a table, got {}", source.at(table_node.source()), table_name.str(),
                        describe(table_node));
    }
    for (const auto& [name, node] : *table) {
      const Key* key = keys.find(table_name.str(), name.str());
      if (key == nullptr) {
        keys.reject_key(source.at(name.source()), table_name.str(), name.str());
      }
      store(*key, node, source, origins);
    }
  }
}

void read_override(string_view setting, Config& config, ConfigOrigins& origins) {
  const Source source = Source::of_override(setting);
  const std::size_t equals = setting.find('=');
  const std::size_t dot = setting.substr(0, equals).find('.');
  require<ConfigError>(equals != string_view::npos && dot != string_view::npos, "{}: expected table.key=value",
                       source.name());
  const string_view table = setting.substr(0, dot);
  const string_view name = setting.substr(dot + 1, equals - dot - 1);
  const string_view value = setting.substr(equals + 1);

  const KeyList keys(config);
  if (!keys.has_table(table)) {
    keys.reject_table(source.name(), table);
  }
  const Key* key = keys.find(table, name);
  if (key == nullptr) {
    keys.reject_key(source.name(), table, name);
  }

  std::optional<toml::table> parsed = parse_as_toml(value);
  if (!parsed || takes_for_text(*key, *parsed->get("value"))) {
    parsed = parse_as_text(value);
  }
  require<ConfigError>(parsed.has_value(), "{}: expected a value in UTF-8", source.name());
  store(*key, *parsed->get("value"), source, origins);
}

}  // namespace retape::trainer
