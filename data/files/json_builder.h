// Builds a JSON value from the events of a reader, and stops at what a file that nobody vouches for may hold: nesting
// deeper than kMaxJsonDepth, a key twice in one object, and more memory than kJsonBytesPerByte for each byte of the
// text and kJsonBytes besides.
//
// The places of events are offsets into the text. Errors are DataErrors of one line: "NAME:LINE:COLUMN: expected ...".
#pragma once

#include <cstddef>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace retape::data {

inline constexpr std::size_t kMaxJsonDepth = 128;  // the text's own arrays and objects within each other
inline constexpr std::size_t kJsonBytesPerByte = 8;
inline constexpr std::size_t kJsonBytes = std::size_t{48} << 20;

// Takes a member of the outermost object as soon as it is whole.
using JsonVisitor = std::function<void(const std::string& key, nlohmann::json value)>;

class JsonBuilder {
 public:
  // `name` is what messages call the text. With a visitor the text has to be an object, and no more than one of its
  // members is held at a time, besides all their names.
  JsonBuilder(std::string_view text, std::string_view name, JsonVisitor visit = nullptr);

  void key(std::string name, std::size_t place);
  void value(nlohmann::json scalar, std::size_t place);
  // An empty array or object, which the values that follow go into until close().
  void open(nlohmann::json container, std::size_t place);
  void close();

  // Without a visitor, and when all that was opened is closed.
  nlohmann::json take();

  [[noreturn]] void fail_at(std::size_t place, std::string_view message) const;
  // The text from there on is not `what`.
  [[noreturn]] void fail_expected(std::size_t place, std::string_view what) const;
  [[noreturn]] void fail_of_range(std::size_t place, std::string_view number) const;

 private:
  nlohmann::json& add(nlohmann::json value, std::size_t place);
  void visit_member();
  void charge(std::size_t bytes, std::size_t place);

  std::string_view text_;
  std::string_view name_;
  JsonVisitor visit_;
  nlohmann::json root_;
  std::vector<nlohmann::json*> open_;
  nlohmann::json::object_t::iterator member_;     // that the value to come is for, where the innermost is an object
  nlohmann::json::object_t::iterator outermost_;  // the member of the outermost object
  std::size_t names_bytes_ = 0;                   // of its names, which stay while a visitor takes the values
  std::size_t bytes_ = 0;                         // at most, of what is held
};

}  // namespace retape::data
