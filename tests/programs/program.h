// Programs that use the tape and its checkpointing in every way that they allow, as values: made at random, run, made
// smaller and printed.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "checkpointing/checkpointer.h"

namespace retape::programs {

// See ops.h.
enum class OpKind : std::uint8_t {
  scale,
  resize,
  square,
  softsign,
  head,
  alias,
  share,
  centre,
  dropout,
  dropout_residual,
  add,
  times,
  gate,
};
inline constexpr int kOpKinds = 13;
std::string_view name(OpKind op);
// How many values it reads: those from dropout_residual on read two.
constexpr int inputs_of(OpKind op) {
  return op < OpKind::dropout_residual ? 1 : 2;
}

enum class StatementKind : std::uint8_t {
  constant,    // a value from outside without a gradient
  parameter,   // a parameter as a value
  op,          // one op
  drop,        // the program lets a value go
  region,      // its body in a region of the tape
  checkpoint,  // its body through Checkpointer::checkpoint
  fork,        // its body under another state of the generator
  evaluate,    // its body on a tape that records nothing
  configure,   // other settings from here on
  reset,       // Checkpointer::reset
  backward,    // the gradient of a sum of values
};

// A value is a number. It lives until a statement drops it, or the body that made it ends without returning it.
using Variable = int;
inline constexpr Variable kNoVariable = -1;

// Generators that a fork draws from.
inline constexpr std::array<std::string_view, 5> kGenerators{"default", "model-parallel-rng", "data-parallel-rng",
                                                             "of one rank", "of all ranks"};
// What an op may call its output; empty leaves it to the op.
inline constexpr std::array<std::string_view, 4> kNames{"", "left", "right", "middle"};

inline constexpr int kTapes = 2;            // recorded at the same time
inline constexpr int kEvaluation = kTapes;  // the tape of evaluate

struct Statement {
  StatementKind kind = StatementKind::op;
  int tape = 0;                      // of what it makes or differentiates
  Variable result = kNoVariable;     // constant, parameter, op
  std::vector<Variable> inputs;      // op, drop, backward; the arguments of checkpoint
  std::vector<Variable> parameters;  // of checkpoint: what its arguments are called in the body
  std::vector<Variable> returned;    // of region, checkpoint and fork: what outlives the body
  OpKind op = OpKind::scale;         //
  int elems = 0;                     // constant, resize
  int choice = 0;                    // which parameter, generator, settings, or name of an op's output
  int times = 1;                     // of backward
  bool gives_away = false;           // checkpoint, backward: its inputs are moved into it
  bool of_one_rank = false;          // constant: each rank has another
  bool retains = false;              // backward: the tape goes on
  std::vector<Statement> body;       //

  bool operator==(const Statement&) const = default;
};

struct ParameterForm {
  int elems = 0;
  bool of_one_rank = false;

  bool operator==(const ParameterForm&) const = default;
};

// How the contiguous buffer gets its size.
enum class Contiguous : std::uint8_t { off, counted, measured };

struct SettingsForm {
  checkpointing::Policy policy;
  bool partition = false;
  Contiguous contiguous = Contiguous::off;
  int number_checkpoints = 0;  // where counted
  bool host = false;
  int host_limit = 0;  // bytes; 0: none
  bool synchronize = false;
  bool profile = false;

  bool operator==(const SettingsForm&) const = default;
};

struct Program {
  int ranks = 1;
  nn::DType dtype = nn::DType::f32;
  std::vector<ParameterForm> parameters;
  std::vector<SettingsForm> settings;  // the first from the start
  std::vector<Statement> body;
  int variables = 0;  // one more than the highest
  int failure = 0;    // this event of a tape, counted from 1, throws; then all is run again. 0: none does

  bool operator==(const Program&) const = default;
};

}  // namespace retape::programs
