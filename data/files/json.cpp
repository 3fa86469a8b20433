#include "data/files/json.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "nn/base/error.h"

namespace retape::data {
namespace {

using nlohmann::json;
using std::string_view;

constexpr std::size_t kLongestQuote = 80;

// A character of a text; tells how many have been read.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, std::size_t* read) : at_(at), read_(read) {}

  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    ++*read_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  std::size_t* read_;
};

// Hands the library's events to a builder, with the places where their tokens begin.
class Events final : public json::json_sax_t {
 public:
  Events(string_view text, JsonBuilder& builder) : text_(text), builder_(builder) {}

  void read() {
    json::sax_parse(CountingIterator(text_.data(), &read_), CountingIterator(text_.data() + text_.size(), &read_),
                    this);
  }

  bool null() override { return value(nullptr); }
  bool boolean(bool flag) override { return value(flag); }
  bool number_integer(number_integer_t number) override { return value(number); }
  bool number_unsigned(number_unsigned_t number) override { return value(number); }
  bool number_float(number_float_t number, const string_t& digits) override {
    const std::size_t place = begin();
    if (digits.find_first_of(".eE") == std::string::npos) {  // too long for an integer
      builder_.fail_of_range(place, token_at(place));
    }
    builder_.value(number, place);
    return true;
  }
  bool string(string_t& text) override { return value(std::move(text)); }
  bool binary(binary_t&) override { return false; }  // JSON has none

  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    const std::size_t place = begin();
    builder_.key(std::move(name), place);
    return true;
  }

  bool parse_error(std::size_t, const std::string& token, const json::exception& error) override {
    constexpr int kOutOfRange = 406;  // the library's number for it
    if (error.id == kOutOfRange) {
      const std::size_t place = begin();
      builder_.fail_of_range(place, token_at(place));
    }
    const string_view reason = error.what();
    const bool is_at_end = reason.find("unexpected end of input") != string_view::npos ||
                           reason.find("missing closing quote") != string_view::npos;
    // A number is known to be whole when the character after it has been read.
    const std::size_t ahead = read_ > 1 && !token.empty() && token.back() != text_[read_ - 1] ? 2 : 1;
    builder_.fail_expected(is_at_end ? text_.size() : read_ - ahead, "JSON");
  }

 private:
  // Where the token begins that was read last.
  std::size_t begin() {
    const std::size_t place = std::min(text_.find_first_not_of(" \t\r\n,:[]{}", done_), text_.size());
    done_ = read_;
    return place;
  }

  template <class Scalar>
  bool value(Scalar&& scalar) {
    builder_.value(std::forward<Scalar>(scalar), begin());
    return true;
  }
  bool open(json container) {
    done_ = read_;
    builder_.open(std::move(container), read_ - 1);
    return true;
  }
  bool close() {
    done_ = read_;
    builder_.close();
    return true;
  }

  string_view token_at(std::size_t place) const {
    return text_.substr(place, text_.find_first_of(" \t\r\n,]}", place) - place);
  }

  string_view text_;
  JsonBuilder& builder_;
  std::size_t read_ = 0;  // characters
  std::size_t done_ = 0;  // of them, those up to the end of the last token
};

}  // namespace

json parse_json(string_view text, string_view name) {
  JsonBuilder builder(text, name);
  Events(text, builder).read();
  return builder.take();
}

void visit_json(string_view text, string_view name, const JsonVisitor& visit) {
  JsonBuilder builder(text, name, visit);
  Events(text, builder).read();
}

std::int64_t integer_of(const json& value, string_view name, std::int64_t least, std::int64_t most) {
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() || std::in_range<std::int64_t>(value.get<std::uint64_t>())) &&
                    value.get<std::int64_t>() >= least && value.get<std::int64_t>() <= most;
  require<DataError>(fits, "{}: expected an integer from {} to {}, got {}", name, least, most, shown(value));
  return value.get<std::int64_t>();
}

std::string in_quotes(string_view text) {
  const bool is_long = text.size() > kLongestQuote;
  const std::string quoted = json(text.substr(0, kLongestQuote)).dump(-1, ' ', true, json::error_handler_t::replace);
  return is_long ? quoted + "..." : quoted;
}

std::string shown(const json& value) {
  if (value.is_array()) {
    return fmt::format("an array of {}", value.size());
  }
  if (value.is_object()) {
    return fmt::format("an object of {}", value.size());
  }
  return value.is_string() ? in_quotes(value.get_ref<const std::string&>()) : value.dump();
}

}  // namespace retape::data
