#include "data/files/json_builder.h"

#include <algorithm>
#include <utility>

#include "data/files/json.h"
#include "nn/base/error.h"

namespace retape::data {
namespace {

using nlohmann::json;

// What parts of a value take at most, with the allocator's own bytes. A growing array holds its elements three times.
constexpr std::size_t kElementBytes = 3 * sizeof(json);
constexpr std::size_t kMemberBytes = 96;
constexpr std::size_t kStringBytes = 48;
constexpr std::size_t kContainerBytes = 64;
constexpr std::size_t kAllocationBytes = 24;

// Beyond the string itself, which has room for a few characters.
std::size_t bytes_of(const std::string& text) {
  return text.capacity() > std::string().capacity() ? text.capacity() + kAllocationBytes : 0;
}

std::size_t bytes_of(const json& value) {
  if (value.is_string()) {
    return kStringBytes + bytes_of(value.get_ref<const std::string&>());
  }
  return value.is_structured() ? kContainerBytes : 0;
}

}  // namespace

JsonBuilder::JsonBuilder(std::string_view text, std::string_view name, JsonVisitor visit)
    : text_(text), name_(name), visit_(std::move(visit)) {}

void JsonBuilder::key(std::string name, std::size_t place) {
  const std::size_t bytes = kMemberBytes + bytes_of(name);
  charge(bytes, place);
  names_bytes_ += open_.size() == 1 ? bytes : 0;
  const auto [member, is_new] = open_.back()->get_ref<json::object_t&>().try_emplace(std::move(name));
  if (!is_new) {
    fail_at(place, fmt::format("{} is there twice", in_quotes(member->first)));
  }
  member_ = member;
  if (open_.size() == 1) {
    outermost_ = member;
  }
}

void JsonBuilder::value(json scalar, std::size_t place) {
  add(std::move(scalar), place);
  visit_member();
}

void JsonBuilder::open(json container, std::size_t place) {
  if (open_.size() == kMaxJsonDepth) {
    fail_at(place, fmt::format("expected at most {} levels of arrays and objects, got more", kMaxJsonDepth));
  }
  open_.push_back(&add(std::move(container), place));
}

void JsonBuilder::close() {
  open_.pop_back();
  visit_member();
}

json JsonBuilder::take() {
  return std::move(root_);
}

json& JsonBuilder::add(json value, std::size_t place) {
  charge(bytes_of(value), place);
  if (open_.empty()) {
    if (visit_ && !value.is_object()) {
      fail_at(place, fmt::format("expected a JSON object, got {}", shown(value)));
    }
    return root_ = std::move(value);
  }
  if (open_.back()->is_array()) {
    charge(kElementBytes, place);
    auto& array = open_.back()->get_ref<json::array_t&>();
    return array.emplace_back(std::move(value));
  }
  return member_->second = std::move(value);
}

void JsonBuilder::visit_member() {
  if (visit_ && open_.size() == 1) {
    visit_(outermost_->first, std::exchange(outermost_->second, json()));
    bytes_ = names_bytes_;
  }
}

void JsonBuilder::charge(std::size_t bytes, std::size_t place) {
  bytes_ += bytes;
  const std::size_t most = kJsonBytesPerByte * text_.size() + kJsonBytes;
  if (bytes_ > most) {
    fail_at(place, fmt::format("expected values that take at most {} bytes of memory, got more", most));
  }
}

void JsonBuilder::fail_expected(std::size_t place, std::string_view what) const {
  constexpr std::size_t kLongestFound = 20;
  const std::string_view found =
      text_.substr(place, std::min(text_.find_first_of("\r\n", place) - place, kLongestFound));
  fail_at(place,
          fmt::format("expected {}, got {}", what, place < text_.size() ? in_quotes(found) : "the end of the text"));
}

void JsonBuilder::fail_of_range(std::size_t place, std::string_view number) const {
  fail_at(place, "expected a number that a double or 64 bits can hold, got " + in_quotes(number));
}

void JsonBuilder::fail_at(std::size_t place, std::string_view message) const {
  const std::string_view before = text_.substr(0, place);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::string_view in_line = before.substr(before.rfind('\n') + 1);
  const auto is_start = [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; };  // of a character
  const auto column = 1 + std::count_if(in_line.begin(), in_line.end(), is_start);
  fail<DataError>("{}:{}:{}: {}", name_, line, column, message);
}

}  // namespace retape::data
