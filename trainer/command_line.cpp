#include "trainer/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <new>
#include <tuple>

#include "nn/base/version.h"
#include "trainer/commands.h"
#include "trainer/commands/help.h"
#include "trainer/commands/option_values.h"
#include "trainer/commands/unexpected_words.h"
#include "trainer/config/warnings.h"
#include "trainer/config_loader.h"
#include "trainer/one_line.h"
#include "trainer/plan_command.h"
#include "trainer/study.h"
#include "trainer/study_policies.h"
#include "trainer/training.h"

namespace retape::trainer {
namespace {

constexpr int kError = 1;
constexpr int kWrongCommandLine = 2;

constexpr std::int64_t kMaxTokens = 1 << 24;
constexpr std::int64_t kMaxRuns = std::int64_t{1} << 40;
constexpr std::int64_t kMaxInt = std::numeric_limits<std::int64_t>::max();

// May stand before the command and after it.
struct ConfigOptions {
  std::string file;
  std::vector<std::string> settings;
};

struct Arguments {
  ConfigOptions before;
  ConfigOptions after;
  SampleCommand sample;
  PrepareCommand prepare;
  std::string export_path;
  bool plan_as_json = false;
  bool force = false;
  StudyCommand study;
};

struct Command {
  CLI::App* parser;
  std::function<int()> run;
};

// ---------------------------------------------------------------------------------------------- options

// An option of one value; `store` takes the text and throws CommandLineError where that is wrong.
template <class Store>
CLI::Option* add_value(CLI::App& command, const std::string& name, const std::string& type, Store store,
                       const std::string& about) {
  const std::function<void(const std::string&)> function = [name, store](const std::string& text) {
    store(name, text);
  };
  return command.add_option_function(name, function, about)->type_name(type);
}

template <class T>
void add_integer(CLI::App& command, const std::string& name, T& value, std::int64_t min, std::int64_t max,
                 const std::string& about) {
  const auto store = [&value, min, max](const std::string& option, const std::string& text) {
    value = static_cast<T>(integer_option(option, text, min, max));
  };
  add_value(command, name, "N", store, about)->default_str(fmt::format("{}", value));
}

CLI::Option* add_text(CLI::App& command, const std::string& name, const std::string& type, std::string& value,
                      const std::string& about) {
  const auto store = [&value](const std::string& option, const std::string& text) {
    value = text_option(option, text);
  };
  return add_value(command, name, type, store, about)->default_str(value);
}

void add_config_options(CLI::App& command, ConfigOptions& options) {
  add_text(command, "--config", "FILE", options.file, "TOML file with settings");
  command.add_option("--set", options.settings, "settings, such as model.dim=64; they win over the file's")
      ->type_name("KEY=VALUE");
}

void add_force(CLI::App& command, bool& force) {
  command.add_flag("--force", force, "replace files that this command did not write");
}

void add_sample_options(CLI::App& command, SampleCommand& sample) {
  command.add_option("--prompt", sample.prompt, "text to go on from; default: a newline")->type_name("TEXT");
  SamplingOptions& options = sample.options;
  add_integer(command, "--tokens", options.tokens, 0, kMaxTokens, "tokens to write");
  const auto temperature = [&options](const std::string& option, const std::string& text) {
    options.temperature = number_option(option, text, {.min = 0, .max = std::numeric_limits<double>::infinity()});
  };
  add_value(command, "--temperature", "X", temperature, "lower: likelier tokens; 0: the likeliest")
      ->default_str(fmt::format("{}", options.temperature));
  add_integer(command, "--top-k", options.top_k, 0, kMaxTokens, "among the N likeliest tokens; 0: all");
  add_integer(command, "--seed", options.seed, 0, kMaxInt, "of the random choices");
  command.add_flag("--raw", sample.raw, "print the bytes as they are, and nothing else");
  add_text(command, "--output", "FILE", sample.output, "file for the bytes, instead of printing");
}

void add_prepare_options(CLI::App& command, PrepareCommand& prepare) {
  command.add_option("--input", prepare.inputs, "text files or patterns")->required()->type_name("FILE");
  add_text(command, "--output", "FILE", prepare.output, "token file to write")->required();
  add_text(command, "--tokenizer", "NAME", prepare.tokenizer, "byte, char or a tokenizer's .json");
  const auto format = [&prepare](const std::string& option, const std::string& text) {
    constexpr std::array<std::string_view, 2> kFormats{"u16", "llmc"};
    prepare.format = name_option(option, text, kFormats);
  };
  add_value(command, "--format", "NAME", format, "u16 or llmc")->default_str(prepare.format);
}

void add_study_options(CLI::App& command, StudyCommand& study) {
  const auto policies = [&study](const std::string& /*option*/, const std::string& text) {
    try {
      parse_policies(text);
    } catch (const ConfigError& error) {
      throw CommandLineError(error.what());
    }
    study.policies = text;
  };
  add_value(command, "--policies", "LIST", policies,
            "none, full[:N], selective:NAME+NAME, block:N, uniform:N, nested:N")
      ->default_str(study.policies);
  add_integer(command, "--steps", study.steps, 2, kMaxRuns, "of each run; the first is not timed");
  add_integer(command, "--repeats", study.repeats, 1, kMaxRuns, "rounds through all policies");
  add_text(command, "--output", "FOLDER", study.output, "folder of study.csv and study.json; default: run.out_dir");
}

// ---------------------------------------------------------------------------------------------- commands

std::string config_file(const Arguments& arguments) {
  return arguments.before.file.empty() ? arguments.after.file : arguments.before.file;
}

OutputOptions output_options(const Arguments& arguments) {
  return {.config_file = config_file(arguments), .force = arguments.force};
}

Config config_of(const Arguments& arguments, PolicyOf policy = PolicyOf::config) {
  const auto& [before, after] = std::tie(arguments.before, arguments.after);
  require<CommandLineError>(before.file.empty() || after.file.empty(), "--config: expected one file, got {} and {}",
                            before.file, after.file);
  std::vector<std::string> settings = before.settings;
  settings.insert(settings.end(), after.settings.begin(), after.settings.end());
  return load_config(config_file(arguments), settings, policy);
}

void print_warnings(const std::vector<std::string>& warnings) {
  std::ranges::for_each(warnings, print_warning);
}

// For a command that computes.
Config with_warnings(Config config) {
  print_warnings(warnings_of(config, machine_cores()));
  return config;
}

int train_with_warnings(const Arguments& arguments) {
  const Config config = config_of(arguments);
  print_warnings(warnings_of(config, machine_cores()));
  print_warnings(warnings_of_training(config));
  return train(config, output_options(arguments));
}

std::vector<Command> add_commands(CLI::App& program, Arguments& arguments) {
  std::vector<Command> commands;
  const auto add = [&](const char* name, const char* about, const char* example, std::function<int()> run) {
    CLI::App* parser = program.add_subcommand(name, about)->footer(example)->allow_extras();
    commands.push_back({parser, std::move(run)});
    return parser;
  };
  const auto add_of_run = [&](const char* name, const char* about, const char* example, std::function<int()> run) {
    CLI::App* parser = add(name, about, example, std::move(run));
    add_config_options(*parser, arguments.after);
    return parser;
  };
  const auto config = [&arguments] { return config_of(arguments); };
  CLI::App* training = add_of_run("train", "train, or go on training",
                                  "  trainer train --config configs/gpt.toml --set train.steps=2000\n",
                                  [&arguments] { return train_with_warnings(arguments); });
  add_force(*training, arguments.force);
  add_of_run("eval", "print the validation loss of the newest checkpoint", "  trainer eval --config configs/gpt.toml\n",
             [=] { return evaluate(with_warnings(config())); });
  CLI::App* sample = add_of_run(
      "sample", "print text from the newest checkpoint",
      "  trainer sample --config configs/gpt.toml --prompt \"// \" --tokens 400\n",
      [=, &arguments] { return print_sample(with_warnings(config()), arguments.sample, output_options(arguments)); });
  add_sample_options(*sample, arguments.sample);
  add_force(*sample, arguments.force);
  CLI::App* plan = add_of_run("plan", "say what a training would take, without running it",
                              "  trainer plan --config configs/gpt2-124m.toml --set model.vocab=50257\n",
                              [=, &arguments] { return print_plan(config(), arguments.plan_as_json); });
  plan->add_flag("--json", arguments.plan_as_json, "print one JSON object");
  CLI::App* study_parser =
      add_of_run("study", "run policies of activation checkpointing and compare them",
                 "  trainer study --config configs/gpt.toml --policies none,full --steps 6\n", [&arguments] {
                   return study(with_warnings(config_of(arguments, PolicyOf::command)), arguments.study,
                                output_options(arguments));
                 });
  add_study_options(*study_parser, arguments.study);
  add_force(*study_parser, arguments.force);
  CLI::App* prepare_parser =
      add("prepare", "encode text to a token file", "  trainer prepare --input 'books/*.txt' --output books.bin\n",
          [&arguments] { return prepare(arguments.prepare); });
  add_prepare_options(*prepare_parser, arguments.prepare);
  add_force(*prepare_parser, arguments.prepare.force);
  CLI::App* export_parser =
      add_of_run("export", "write the weights as safetensors with Hugging Face names",
                 "  trainer export --config configs/gpt.toml --output gpt.safetensors\n",
                 [=, &arguments] { return export_model(config(), arguments.export_path, output_options(arguments)); });
  add_force(*export_parser, arguments.force);
  add_text(*export_parser, "--output", "FILE", arguments.export_path, "file to write")->required();
  add("doctor", "say what this machine and build can do", "  trainer doctor\n", [] { return doctor(); });
  return commands;
}

// ---------------------------------------------------------------------------------------------- words

std::vector<std::string> option_names(const CLI::App& parser) {
  std::vector<std::string> names;
  for (const CLI::Option* option : parser.get_options()) {
    names.push_back(option->get_name(false, false));
  }
  return names;
}

void require_no_others(const CLI::App& program) {
  const std::vector<std::string> words = program.remaining(true);
  if (words.empty()) {
    return;
  }
  std::vector<std::string> commands;
  for (const CLI::App* command : program.get_subcommands({})) {
    commands.push_back(command->get_name());
  }
  const std::vector<CLI::App*> chosen = program.get_subcommands();
  const std::vector<std::string> options = option_names(chosen.empty() ? program : *chosen.front());
  throw CommandLineError(unexpected_word(words.front(), commands, options));
}

// Throws CommandLineError, or CLI::Success where only help or the version is asked for.
void parse(CLI::App& program, int argc, const char* const* argv) {
  try {
    program.parse(argc, argv);
  } catch (const CLI::Success&) {
    throw;
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string_view message = error.what();
    fail<CommandLineError>("{}: expected one value", message.substr(0, message.find(':')));
  } catch (const CLI::ParseError& error) {
    fail<CommandLineError>("{}", error.what());
  }
  require_no_others(program);
}

int run(const std::vector<Command>& commands, const Arguments& arguments) {
  const auto chosen = std::ranges::find_if(commands, [](const Command& command) { return command.parser->parsed(); });
  if (chosen != commands.end()) {
    return chosen->run();
  }
  const ConfigOptions& options = arguments.before;
  require<CommandLineError>(!options.file.empty() || !options.settings.empty(),
                            "expected a command, --config or --set, got nothing");
  return train_with_warnings(arguments);
}

// A command is only done when its output is where it goes. `error` is that of a write before, if it is known.
int status_with_output(int status, int error = 0) {
  errno = error;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) {
    return status;
  }
  print_error(fmt::format("[output] stdout: cannot be written{}{}", errno == 0 ? "" : ": ",
                          errno == 0 ? "" : std::strerror(errno)));
  return status == 0 ? kError : status;
}

int print_text(const std::string& text) {
  errno = 0;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return status_with_output(0, written ? 0 : errno);
}

}  // namespace

int run_command_line(int argc, const char* const* argv) {
  Arguments arguments;
  CLI::App program("Retape trains GPT language models. Without a command it trains.", "trainer");
  program.formatter(std::make_shared<HelpFormatter>());
  program.footer("  trainer --config configs/gpt.toml --set train.steps=2000\n");
  program.set_help_flag("-h,--help", "print this help");
  program.set_version_flag("--version", fmt::format("retape {}", kVersion), "print the version");
  program.require_subcommand(0, 1)->allow_extras();
  add_config_options(program, arguments.before);
  add_force(program, arguments.force);
  const std::vector<Command> commands = add_commands(program, arguments);
  try {
    parse(program, argc, argv);
    return status_with_output(run(commands, arguments));
  } catch (const CLI::CallForVersion& asked) {
    return print_text(fmt::format("{}\n", asked.what()));
  } catch (const CLI::CallForHelp&) {
    return print_text(program.help());
  } catch (const CommandLineError& error) {
    print_error(fmt::format("{} (trainer --help shows what there is)", error.what()));
    return kWrongCommandLine;
  } catch (const Error& error) {
    print_error(error.what());
  } catch (const std::bad_alloc&) {
    print_error("[memory] the host has no more memory");
  } catch (const std::exception& error) {
    print_error(fmt::format("[trainer] {}", error.what()));  // of a library, which knows no place
  }
  return kError;
}

}  // namespace retape::trainer
