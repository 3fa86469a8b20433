#include "trainer/command_line.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <tuple>

#include "nn/base/error.h"
#include "trainer/commands.h"
#include "trainer/config_loader.h"
#include "trainer/one_line.h"
#include "trainer/plan_command.h"
#include "trainer/study.h"
#include "trainer/training.h"

namespace retape::trainer {
namespace {

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

void add_config_options(CLI::App& command, ConfigOptions& options) {
  command.add_option("--config", options.file, "TOML file of the run");
  command.add_option("--set", options.settings, "a setting, wins over the file")->type_name("table.key=value");
}

std::string config_file(const Arguments& arguments) {
  return arguments.before.file.empty() ? arguments.after.file : arguments.before.file;
}

Config config_of(const Arguments& arguments, PolicyOf policy = PolicyOf::config) {
  const auto& [before, after] = std::tie(arguments.before, arguments.after);
  require<ConfigError>(before.file.empty() || after.file.empty(), "--config: expected one file, got {} and {}",
                       before.file, after.file);
  std::vector<std::string> settings = before.settings;
  settings.insert(settings.end(), after.settings.begin(), after.settings.end());
  return load_config(config_file(arguments), settings, policy);
}

void add_force(CLI::App& command, Arguments& arguments) {
  command.add_flag("--force", arguments.force, "replace files that this command did not write");
}

void add_sample_options(CLI::App& command, Arguments& arguments) {
  SampleCommand& sample = arguments.sample;
  command.add_option("--prompt", sample.prompt, "text to go on from")->capture_default_str();
  command.add_option("--tokens", sample.options.tokens, "tokens to write")->capture_default_str();
  command.add_option("--temperature", sample.options.temperature, "0 takes the likeliest token")->capture_default_str();
  command.add_option("--top-k", sample.options.top_k, "among the k likeliest tokens; 0: all")->capture_default_str();
  command.add_option("--seed", sample.options.seed, "of the random choices")->capture_default_str();
}

void add_prepare_options(CLI::App& command, Arguments& arguments) {
  PrepareCommand& prepare = arguments.prepare;
  command.add_option("--input", prepare.inputs, "text files or patterns")->required();
  command.add_option("--output", prepare.output, "token file to write")->required();
  command.add_option("--tokenizer", prepare.tokenizer, "byte, char or a tokenizer's .json")->capture_default_str();
  command.add_option("--format", prepare.format, "u16 or llmc")
      ->check(CLI::IsMember({"u16", "llmc"}))
      ->capture_default_str();
}

void add_study_options(CLI::App& command, StudyCommand& study) {
  command.add_option("--policies", study.policies, "none, full[:N], selective:NAME+NAME, block:N, uniform:N, nested:N")
      ->capture_default_str();
  command.add_option("--steps", study.steps, "of each run; the first is not timed")->capture_default_str();
  command.add_option("--repeats", study.repeats, "rounds through all policies")->capture_default_str();
  command.add_option("--output", study.output, "folder of study.csv and study.json; run.out_dir where it is left out");
}

int run(CLI::App& app, const Arguments& arguments) {
  const auto config = [&arguments] { return config_of(arguments); };
  if (app.got_subcommand("doctor")) {
    return doctor();
  }
  if (app.got_subcommand("prepare")) {
    return prepare(arguments.prepare);
  }
  if (app.got_subcommand("eval")) {
    return evaluate(config());
  }
  if (app.got_subcommand("sample")) {
    return print_sample(config(), arguments.sample);
  }
  if (app.got_subcommand("export")) {
    return export_model(config(), arguments.export_path);
  }
  if (app.got_subcommand("plan")) {
    return print_plan(config(), arguments.plan_as_json);
  }
  if (app.got_subcommand("study")) {
    return study(config_of(arguments, PolicyOf::command), arguments.study);
  }
  return train(config(), {.config_file = config_file(arguments), .force = arguments.force});
}

// A command is only done when its output is where it goes.
int status_with_output(int status) {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) {
    return status;
  }
  print_error(fmt::format("[output] stdout: cannot be written{}{}", errno == 0 ? "" : ": ",
                          errno == 0 ? "" : std::strerror(errno)));
  return status == 0 ? 1 : status;
}

}  // namespace

int run_command_line(int argc, const char* const* argv) {
  Arguments arguments;
  CLI::App app("Retape trains GPT language models. Without a command it trains.", "trainer");
  app.require_subcommand(0, 1);
  add_config_options(app, arguments.before);
  add_force(app, arguments);
  CLI::App* train_command = app.add_subcommand("train", "train, or go on training");
  add_config_options(*train_command, arguments.after);
  add_force(*train_command, arguments);
  add_config_options(*app.add_subcommand("eval", "print the validation loss of the newest checkpoint"),
                     arguments.after);
  CLI::App* plan = app.add_subcommand("plan", "say what a training would take, without running it");
  add_config_options(*plan, arguments.after);
  plan->add_flag("--json", arguments.plan_as_json, "print one JSON object");
  CLI::App* study = app.add_subcommand("study", "run policies of activation checkpointing and compare them");
  add_config_options(*study, arguments.after);
  add_study_options(*study, arguments.study);
  CLI::App* sample = app.add_subcommand("sample", "print text from the newest checkpoint");
  add_config_options(*sample, arguments.after);
  add_sample_options(*sample, arguments);
  add_prepare_options(*app.add_subcommand("prepare", "encode text to a token file"), arguments);
  CLI::App* export_command = app.add_subcommand("export", "write the weights as safetensors with Hugging Face names");
  add_config_options(*export_command, arguments.after);
  export_command->add_option("--output", arguments.export_path, "file to write")->required();
  app.add_subcommand("doctor", "say what this machine and build can do");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return status_with_output(app.exit(help));
  } catch (const CLI::ParseError& error) {
    print_error(fmt::format("{}; trainer --help lists what there is", error.what()));
    return error.get_exit_code();
  }
  try {
    return status_with_output(run(app, arguments));
  } catch (const Error& error) {
    print_error(error.what());
  } catch (const std::bad_alloc&) {
    print_error("[memory] the host has no more memory");
  } catch (const std::exception& error) {
    print_error(fmt::format("[trainer] {}", error.what()));  // of a library, which knows no place
  }
  return 1;
}

}  // namespace retape::trainer
