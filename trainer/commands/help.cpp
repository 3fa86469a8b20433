#include "trainer/commands/help.h"

#include <fmt/format.h>

#include <string_view>

#include "trainer/config/settings_list.h"

namespace retape::trainer {
namespace {

constexpr std::size_t kColumns = 80;

// The text's words in lines that are indented but for the first, which follows `line`.
std::string wrapped(std::string line, std::string_view text, std::size_t indentation) {
  std::string lines;
  line.resize(std::max(line.size(), indentation), ' ');
  bool starts = true;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (!starts && line.size() + 1 + word.size() > kColumns) {
      lines += line + "\n";
      line.assign(indentation, ' ');
      starts = true;
    }
    line += (starts ? "" : " ") + std::string(word);
    starts = false;
  }
  return lines + line + "\n";
}

std::string options_of(const CLI::App& command) {
  constexpr std::size_t kAboutColumn = 22;
  std::string lines;
  for (const CLI::Option* option : command.get_options()) {
    const std::string value = option->get_type_name();
    const bool many = option->get_items_expected_max() > 1;
    std::string about = option->get_description();
    if (option->get_required()) {
      about += "; must be given";
    } else if (!option->get_default_str().empty()) {
      about += fmt::format("; default: {}", option->get_default_str());
    }
    lines += wrapped(
        fmt::format("  {}{}{}{}  ", option->get_name(false, true), value.empty() ? "" : " ", value, many ? " ..." : ""),
        about, kAboutColumn);
  }
  return lines;
}

std::string commands_of(const CLI::App& program) {
  constexpr std::size_t kAboutColumn = 12;
  std::string lines;
  for (const CLI::App* command : program.get_subcommands({})) {
    lines += wrapped(fmt::format("  {}  ", command->get_name()), command->get_description(), kAboutColumn);
  }
  return lines;
}

}  // namespace

std::string HelpFormatter::make_help(const CLI::App* command, std::string name, CLI::AppFormatMode /*mode*/) const {
  const std::string commands = commands_of(*command);
  std::string text = wrapped("", command->get_description(), 0);
  text += fmt::format("\nusage: {}{} [options]\n", name, commands.empty() ? "" : " [command]");
  if (!commands.empty()) {
    text += fmt::format("\ncommands; {} COMMAND --help tells more of each:\n{}", name, commands);
  }
  text += fmt::format("\noptions:\n{}\nfor example:\n{}", options_of(*command), command->get_footer());
  text +=
      "\nexit codes:\n"
      "  0           done\n"
      "  1           an error: of a setting, data, a file, or the run\n"
      "  2           a command line that is wrong itself\n"
      "  128 + n     ended by signal n; 130 is Ctrl-C\n";
  if (command->get_option_no_throw("--set") != nullptr) {
    text += "\nsettings and their defaults, for FILE or as --set TABLE.KEY=VALUE:\n" + settings_list();
  }
  return text;
}

}  // namespace retape::trainer
