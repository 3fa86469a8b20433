// What a program has at each of its statements: which values live, and which tapes can do what.
#pragma once

#include <optional>
#include <vector>

#include "tests/programs/program.h"

namespace retape::programs {

struct LiveVariable {
  Variable variable = kNoVariable;
  int tape = 0;
  bool wanted = false;  // something needs its gradient
  int depth = 0;        // of the body that made it
};

class Scope {
 public:
  // The values of a tape, oldest first.
  std::vector<Variable> of(int tape) const;
  bool has(Variable variable, int tape) const;
  // Whether the gradient of one of them is wanted.
  bool any_wanted(const std::vector<Variable>& variables) const;
  bool region_open(int tape) const { return open_[static_cast<std::size_t>(tape)] > 0; }

  // What a statement without a body changes.
  void apply(const Statement& statement);
  // Around the body of one that has one.
  void enter(const Statement& statement);
  void leave(const Statement& statement);

 private:
  const LiveVariable* find(Variable variable) const;
  void add(const Statement& statement, bool wanted);
  void drop(const std::vector<Variable>& variables);

  std::vector<LiveVariable> live_;
  std::array<int, kTapes + 1> open_{};  // regions, by tape
  int depth_ = 0;
};

// Whether its values are its own until it returns them.
bool has_scope(StatementKind kind);
bool is_region(StatementKind kind);

// Mends a program that has lost statements: where a value is not there another of the same tape takes its place, and
// what makes no sense without (bodies without statements, gradients of nothing) goes.
void repair(Program& program);

// How many statements there are, those of bodies counted.
int count_statements(const std::vector<Statement>& body);

}  // namespace retape::programs
