// JSON and Hjson from files that nobody vouches for.
//
// Besides what json_builder.h stops at, a number beyond its range is an error wherever it stands: one that no double
// holds, and an integer that no 64 bits hold. Errors are DataErrors of one line: "NAME:LINE:COLUMN: expected ...".
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "data/files/json_builder.h"

namespace retape::data {

// One value of JSON (RFC 8259). `name` is what messages call the text, such as the path of its file.
nlohmann::json parse_json(std::string_view text, std::string_view name);

// The members of one object, one after the other, for an object that is too large to be held whole.
void visit_json(std::string_view text, std::string_view name, const JsonVisitor& visit);

// One object or array of Hjson, which takes all JSON and besides: comments (#, //, /* */), keys without quotes, strings
// in single quotes or, up to the end of the line, in none, values that no comma parts, commas after the last, and an
// outermost object without braces. Of Hjson's own, strings over several lines (''') are refused.
// Source: hjson.github.io/syntax.html.
nlohmann::json parse_hjson(std::string_view text, std::string_view name);

// An integer from `least` to `most`. Throws DataError "NAME: expected an integer from ...", also for 1.0 and true,
// which the library would convert.
std::int64_t integer_of(const nlohmann::json& value, std::string_view name, std::int64_t least, std::int64_t most);

// A text as it may stand in a message of one line: in quotes, escaped, its beginning where it is long.
std::string in_quotes(std::string_view text);

// A value for such a message: a scalar as JSON writes it, "an array of 3", "an object of 2".
std::string shown(const nlohmann::json& value);

}  // namespace retape::data
