#include "tests/programs/scope.h"

#include <algorithm>
#include <iterator>

namespace retape::programs {
namespace {

bool holds(const std::vector<Variable>& variables, Variable variable) {
  return std::find(variables.begin(), variables.end(), variable) != variables.end();
}

}  // namespace

bool is_region(StatementKind kind) {
  return kind == StatementKind::region || kind == StatementKind::checkpoint;
}

bool has_scope(StatementKind kind) {
  return is_region(kind) || kind == StatementKind::evaluate;
}

std::vector<Variable> Scope::of(int tape) const {
  std::vector<Variable> found;
  for (const LiveVariable& live : live_) {
    if (live.tape == tape) {
      found.push_back(live.variable);
    }
  }
  return found;
}

const LiveVariable* Scope::find(Variable variable) const {
  const auto found = std::find_if(live_.begin(), live_.end(),
                                  [variable](const LiveVariable& live) { return live.variable == variable; });
  return found == live_.end() ? nullptr : &*found;
}

bool Scope::has(Variable variable, int tape) const {
  const LiveVariable* live = find(variable);
  return live != nullptr && live->tape == tape;
}

bool Scope::any_wanted(const std::vector<Variable>& variables) const {
  return std::any_of(variables.begin(), variables.end(), [this](Variable variable) {
    const LiveVariable* live = find(variable);
    return live != nullptr && live->wanted;
  });
}

void Scope::add(const Statement& statement, bool wanted) {
  live_.push_back({statement.result, statement.tape, wanted, depth_});
}

void Scope::drop(const std::vector<Variable>& variables) {
  std::erase_if(live_, [&](const LiveVariable& live) { return holds(variables, live.variable); });
}

void Scope::apply(const Statement& statement) {
  switch (statement.kind) {
    case StatementKind::constant: add(statement, false); return;
    case StatementKind::parameter: add(statement, statement.tape != kEvaluation); return;
    case StatementKind::op: add(statement, any_wanted(statement.inputs)); return;
    case StatementKind::drop: drop(statement.inputs); return;
    case StatementKind::backward:
      if (statement.gives_away) {
        drop(statement.inputs);
      }
      if (!statement.retains) {
        std::erase_if(live_, [&](const LiveVariable& live) { return live.tape == statement.tape; });
      }
      return;
    default: return;
  }
}

void Scope::enter(const Statement& statement) {
  open_[static_cast<std::size_t>(statement.tape)] += is_region(statement.kind) ? 1 : 0;
  depth_ += has_scope(statement.kind) ? 1 : 0;
  std::vector<LiveVariable> parameters;
  for (std::size_t i = 0; i < statement.parameters.size(); ++i) {
    parameters.push_back({statement.parameters[i], statement.tape, any_wanted({statement.inputs[i]}), depth_});
  }
  if (statement.gives_away) {
    drop(statement.inputs);
  }
  live_.insert(live_.end(), parameters.begin(), parameters.end());
}

void Scope::leave(const Statement& statement) {
  open_[static_cast<std::size_t>(statement.tape)] -= is_region(statement.kind) ? 1 : 0;
  if (!has_scope(statement.kind)) {
    return;
  }
  std::erase_if(live_, [&](const LiveVariable& live) {
    return live.depth == depth_ && !holds(statement.returned, live.variable);
  });
  --depth_;
  for (LiveVariable& live : live_) {
    live.depth = std::min(live.depth, depth_);
  }
}

namespace {

bool repair_statement(Statement& statement, Scope& scope, const Program& program);

void repair_body(std::vector<Statement>& body, Scope& scope, const Program& program) {
  std::erase_if(body, [&](Statement& statement) { return !repair_statement(statement, scope, program); });
}

bool repair_op(Statement& statement, const Scope& scope) {
  const std::vector<Variable> there = scope.of(statement.tape);
  for (Variable& input : statement.inputs) {
    if (!scope.has(input, statement.tape)) {
      if (there.empty()) {
        return false;
      }
      input = there.back();
    }
  }
  return true;
}

// Arguments that are not there go, with what the body calls them.
void repair_arguments(Statement& statement, const Scope& scope) {
  for (std::size_t i = statement.parameters.size(); i-- > 0;) {
    if (!scope.has(statement.inputs[i], statement.tape)) {
      statement.inputs.erase(statement.inputs.begin() + static_cast<std::ptrdiff_t>(i));
      statement.parameters.erase(statement.parameters.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}

bool repair_with_body(Statement& statement, Scope& scope, const Program& program) {
  repair_arguments(statement, scope);
  scope.enter(statement);
  repair_body(statement.body, scope, program);
  std::erase_if(statement.returned, [&](Variable variable) { return !scope.has(variable, statement.tape); });
  scope.leave(statement);
  return !statement.body.empty();
}

bool repair_statement(Statement& statement, Scope& scope, const Program& program) {
  const auto drop_missing = [&] {
    std::erase_if(statement.inputs, [&](Variable input) { return !scope.has(input, statement.tape); });
    return !statement.inputs.empty();
  };
  bool stays = true;
  switch (statement.kind) {
    case StatementKind::op: stays = repair_op(statement, scope); break;
    case StatementKind::drop: stays = drop_missing(); break;
    case StatementKind::parameter: stays = statement.choice < static_cast<int>(program.parameters.size()); break;
    case StatementKind::configure: stays = statement.choice < static_cast<int>(program.settings.size()); break;
    case StatementKind::backward:
      stays = drop_missing() && scope.any_wanted(statement.inputs) && !scope.region_open(statement.tape);
      break;
    case StatementKind::region:
    case StatementKind::checkpoint:
    case StatementKind::fork:
    case StatementKind::evaluate: return repair_with_body(statement, scope, program);
    default: break;
  }
  if (stays) {
    scope.apply(statement);
  }
  return stays;
}

}  // namespace

void repair(Program& program) {
  Scope scope;
  repair_body(program.body, scope, program);
}

int count_statements(const std::vector<Statement>& body) {
  int count = 0;
  for (const Statement& statement : body) {
    count += 1 + count_statements(statement.body);
  }
  return count;
}

}  // namespace retape::programs
