#include "trainer/commands/unexpected_words.h"

#include <fmt/format.h>

#include "nn/base/error.h"
#include "trainer/nearest_name.h"

namespace retape::trainer {
namespace {

// "model.dim=64", a setting that stands without --set.
bool is_setting(std::string_view word) {
  const std::size_t equals = word.find('=');
  return equals != std::string_view::npos && word.substr(0, equals).find('.') != std::string_view::npos;
}

std::string nearest(std::string_view word, const std::vector<std::string>& names) {
  return suggest_name(word, std::vector<std::string_view>(names.begin(), names.end()));
}

}  // namespace

std::string unexpected_word(std::string_view word, const std::vector<std::string>& commands,
                            const std::vector<std::string>& options) {
  const std::string shown = excerpt(word);
  if (word.starts_with('-')) {
    return fmt::format("{}: unknown option; {}", shown, nearest(word.substr(0, word.find('=')), options));
  }
  if (word == "help" || word == "version") {
    return fmt::format("{}: no command; did you mean --{}?", shown, shown);
  }
  if (word.ends_with(".toml")) {
    return fmt::format("{}: no command; did you mean --config {}?", shown, shown);
  }
  if (is_setting(word)) {
    return fmt::format("{}: no command; did you mean --set {}?", shown, shown);
  }
  return fmt::format("{}: unknown command; {}", shown, nearest(word, commands));
}

}  // namespace retape::trainer
