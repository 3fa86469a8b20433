#include "tests/programs/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace retape::programs {
namespace {

constexpr std::array<std::string_view, kOpKinds> kOpNames{"scale", "resize", "square", "softsign", "head",
                                                          "alias", "share",  "centre", "dropout",  "dropout_residual",
                                                          "add",   "times",  "gate"};

std::string list(const std::vector<Variable>& variables, std::string_view between = ", ") {
  std::vector<std::string> names;
  names.reserve(variables.size());
  for (const Variable variable : variables) {
    names.push_back(fmt::format("v{}", variable));
  }
  return fmt::format("{}", fmt::join(names, between));
}

std::string describe(const SettingsForm& settings) {
  std::string text = fmt::format("policy {}", settings.policy.describe());
  if (settings.partition) {
    text += ", partition";
  }
  if (settings.contiguous == Contiguous::counted) {
    text += fmt::format(", contiguous x {}", settings.number_checkpoints);
  } else if (settings.contiguous == Contiguous::measured) {
    text += ", contiguous, measured";
  }
  if (settings.host) {
    text += settings.host_limit > 0 ? fmt::format(", host of {} bytes", settings.host_limit) : ", host";
  }
  text += settings.synchronize ? ", synchronize" : "";
  text += settings.profile ? ", profile" : "";
  return text;
}

std::string head_of_checkpoint(const Statement& statement) {
  std::vector<std::string> arguments;
  for (std::size_t i = 0; i < statement.parameters.size(); ++i) {
    arguments.push_back(fmt::format("v{} = v{}", statement.parameters[i], statement.inputs[i]));
  }
  return fmt::format("checkpoint({}){}:", fmt::join(arguments, ", "),
                     statement.gives_away && !arguments.empty() ? ", arguments given away" : "");
}

std::string describe_op(const Statement& statement) {
  std::string text = fmt::format("v{} = {}({})", statement.result, name(statement.op), list(statement.inputs));
  if (statement.op == OpKind::resize) {
    text += fmt::format(" to {}", statement.elems);
  }
  if (statement.choice > 0) {
    text += fmt::format(", named {}", kNames[static_cast<std::size_t>(statement.choice)]);
  }
  return text;
}

std::string first_line(const Statement& statement) {
  const std::string_view of_one_rank = statement.of_one_rank ? " of one rank" : "";
  switch (statement.kind) {
    case StatementKind::constant:
      return fmt::format("v{} = constant of {}{}", statement.result, statement.elems, of_one_rank);
    case StatementKind::parameter: return fmt::format("v{} = parameter {}", statement.result, statement.choice);
    case StatementKind::op: return describe_op(statement);
    case StatementKind::drop: return fmt::format("drop {}", list(statement.inputs));
    case StatementKind::region: return "region:";
    case StatementKind::checkpoint: return head_of_checkpoint(statement);
    case StatementKind::fork: return fmt::format("fork {}:", kGenerators[static_cast<std::size_t>(statement.choice)]);
    case StatementKind::evaluate: return "evaluate:";
    case StatementKind::configure: return fmt::format("configure {}", statement.choice);
    case StatementKind::reset: return "reset";
    case StatementKind::backward:
      return fmt::format("backward {}{}{}{}", list(statement.inputs, " + "), statement.gives_away ? ", given away" : "",
                         statement.times > 1 ? ", twice" : "", statement.retains ? ", retained" : "");
  }
  return {};
}

void describe(const std::vector<Statement>& body, const std::string& indent, std::string& text) {
  for (const Statement& statement : body) {
    const std::string tape = statement.tape == 1 ? "on the second tape: " : "";
    text += fmt::format("{}{}{}\n", indent, tape, first_line(statement));
    describe(statement.body, indent + "  ", text);
    if (!statement.returned.empty()) {
      text += fmt::format("{}  return {}\n", indent, list(statement.returned));
    }
  }
}

}  // namespace

std::string_view name(OpKind op) {
  return kOpNames[static_cast<std::size_t>(op)];
}

std::string describe(const Program& program) {
  std::string text = fmt::format("{} rank{}, {}\n", program.ranks, program.ranks == 1 ? "" : "s", name(program.dtype));
  for (std::size_t i = 0; i < program.settings.size(); ++i) {
    text += fmt::format("settings {}: {}\n", i, describe(program.settings[i]));
  }
  for (std::size_t i = 0; i < program.parameters.size(); ++i) {
    text += fmt::format("parameter {}: {} elements{}\n", i, program.parameters[i].elems,
                        program.parameters[i].of_one_rank ? " of one rank" : "");
  }
  if (program.failure > 0) {
    text += fmt::format("event {} fails, and all is run again\n", program.failure);
  }
  describe(program.body, "", text);
  return text;
}

}  // namespace retape::programs
