#include "tests/programs/generate.h"

#include <algorithm>
#include <utility>

#include "tests/programs/scope.h"

namespace retape::programs {
namespace {

// Splitmix64: the same numbers on every machine, unlike the library's distributions.
class Dice {
 public:
  Dice(std::uint64_t seed, std::uint64_t number) : state_(seed) { state_ = next() ^ (number * 0x9E3779B97F4A7C15); }
  // A number in [0, below).
  int below(int below) { return static_cast<int>(next() % static_cast<std::uint64_t>(below)); }
  int between(int low, int high) { return low + below(high - low + 1); }
  bool chance(int percent) { return below(100) < percent; }
  template <class List>
  const auto& one_of(const List& list) {
    return list[static_cast<std::size_t>(below(static_cast<int>(std::size(list))))];
  }

 private:
  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  std::uint64_t state_;
};

// Of odd counts, of one and of several granules of memory.
constexpr std::array kSizes{16, 16, 16, 64, 1, 5, 65, 130};
constexpr int kDeepest = 3;

class Author {
 public:
  Author(std::uint64_t seed, std::int64_t number) : dice_(seed, static_cast<std::uint64_t>(number)) {}
  Program write();

 private:
  checkpointing::Policy simple_policy();
  SettingsForm settings();

  void add(std::vector<Statement>& body, Statement statement);
  void add_start(std::vector<Statement>& body, int tape);
  void add_op(std::vector<Statement>& body, int tape);
  void add_drop(std::vector<Statement>& body, int tape);
  void add_with_body(std::vector<Statement>& body, StatementKind kind, int tape, int depth);
  void add_evaluation(std::vector<Statement>& body);
  void add_backward(std::vector<Statement>& body, int tape, bool last);
  void add_some(std::vector<Statement>& body, int tape, int depth);
  void fill(std::vector<Statement>& body, int tape, int depth, int ops);
  std::vector<Variable> some_made_in(const std::vector<Statement>& body, int tape);
  Variable some(int tape);
  Variable fresh() { return program_.variables++; }

  Dice dice_;
  Program program_;
  Scope scope_;
  int ops_left_ = 0;
  bool layered_ = false;  // regions one after the other, rather than anything
  bool rare_ = false;     // with what programs do seldom: other settings on the way, a second tape, an evaluation
};

checkpointing::Policy Author::simple_policy() {
  switch (dice_.below(7)) {
    case 0: return checkpointing::none();
    case 1: return checkpointing::full(dice_.between(2, 3));
    case 2: return checkpointing::block(dice_.between(1, 3));
    case 3: return checkpointing::uniform(dice_.between(2, 3));
    case 4: return checkpointing::nested(dice_.between(2, 3));
    case 5: {
      std::vector<std::string> names{std::string(name(static_cast<OpKind>(dice_.below(kOpKinds))))};
      if (dice_.chance(60)) {
        names.emplace_back(dice_.one_of(kNames).empty() ? "pre_gate" : "middle");
      }
      if (dice_.chance(30)) {
        names.emplace_back(name(static_cast<OpKind>(dice_.below(kOpKinds))));
      }
      return checkpointing::selective(std::move(names));
    }
    default: return checkpointing::full();
  }
}

SettingsForm Author::settings() {
  SettingsForm form;
  form.policy = simple_policy();
  if (dice_.chance(10)) {
    const checkpointing::Policy other = simple_policy();
    const bool one_grouping = form.policy.grouping.size == 1 || other.grouping.size == 1;
    const bool one_thinning = form.policy.keep_every == 1 || other.keep_every == 1;
    if (one_grouping && one_thinning) {
      form.policy = form.policy | other;
    }
  }
  form.partition = dice_.chance(program_.ranks > 1 ? 75 : 30);
  form.contiguous = dice_.one_of(
      std::array{Contiguous::off, Contiguous::off, Contiguous::off, Contiguous::counted, Contiguous::measured});
  form.number_checkpoints = dice_.chance(15) ? dice_.between(1, 3) : 64;
  form.host = dice_.chance(50);
  form.host_limit = dice_.chance(25) ? 256 * dice_.between(1, 6) : 0;
  form.synchronize = dice_.chance(8);
  form.profile = dice_.chance(8);
  return form;
}

void Author::add(std::vector<Statement>& body, Statement statement) {
  scope_.apply(statement);
  body.push_back(std::move(statement));
}

// A value to begin with. As a rule an op has made it: the tape keeps what comes from outside in any case.
void Author::add_start(std::vector<Statement>& body, int tape) {
  if (dice_.chance(15)) {
    add(body, {.kind = StatementKind::constant,
               .tape = tape,
               .result = fresh(),
               .elems = dice_.one_of(kSizes),
               .of_one_rank = dice_.chance(20)});
  } else {
    add(body, {.kind = StatementKind::parameter,
               .tape = tape,
               .result = fresh(),
               .choice = dice_.below(static_cast<int>(program_.parameters.size()))});
  }
}

Variable Author::some(int tape) {
  const std::vector<Variable> there = scope_.of(tape);
  return dice_.chance(55) ? there.back() : dice_.one_of(there);
}

void Author::add_op(std::vector<Statement>& body, int tape) {
  --ops_left_;
  if (scope_.of(tape).empty() || dice_.chance(6)) {
    add_start(body, tape);
  }
  const auto op = static_cast<OpKind>(dice_.below(kOpKinds));
  Statement statement{.kind = StatementKind::op,
                      .tape = tape,
                      .result = fresh(),
                      .op = op,
                      .elems = dice_.one_of(kSizes),
                      .choice = dice_.chance(25) ? dice_.below(static_cast<int>(kNames.size())) : 0};
  for (int i = 0; i < inputs_of(op); ++i) {
    statement.inputs.push_back(some(tape));
  }
  add(body, std::move(statement));
}

void Author::add_drop(std::vector<Statement>& body, int tape) {
  if (scope_.of(tape).size() > 1) {
    add(body, {.kind = StatementKind::drop, .tape = tape, .inputs = {dice_.one_of(scope_.of(tape))}});
  }
}

// Those that outlive a body that has just been filled: as a rule the last that it made, seldom others too.
std::vector<Variable> Author::some_made_in(const std::vector<Statement>& body, int tape) {
  std::vector<Variable> made;
  const auto look_at = [&](const auto& self, const std::vector<Statement>& statements) -> void {
    for (const Statement& statement : statements) {
      if (statement.kind == StatementKind::fork) {
        self(self, statement.body);
      }
      std::vector<Variable> results = statement.returned;
      results.push_back(statement.result);
      std::copy_if(results.begin(), results.end(), std::back_inserter(made),
                   [&](Variable result) { return scope_.has(result, tape); });
    }
  };
  look_at(look_at, body);
  std::vector<Variable> returned;
  for (std::size_t i = 0; i < made.size(); ++i) {
    if (dice_.chance(i + 1 == made.size() ? 95 : 20)) {
      returned.push_back(made[i]);
    }
  }
  return returned;
}

void Author::add_with_body(std::vector<Statement>& body, StatementKind kind, int tape, int depth) {
  if (scope_.of(tape).empty()) {
    add_start(body, tape);
  }
  Statement statement{.kind = kind, .tape = tape};
  if (kind == StatementKind::checkpoint) {
    for (int i = dice_.below(4); i > 0; --i) {
      statement.inputs.push_back(some(tape));
      statement.parameters.push_back(fresh());
    }
    statement.gives_away = dice_.chance(50);
  }
  if (kind == StatementKind::fork) {
    statement.choice = dice_.below(static_cast<int>(kGenerators.size()));
  }
  scope_.enter(statement);
  fill(statement.body, tape, depth + 1, dice_.between(1, 4));
  if (is_region(kind)) {
    statement.returned = some_made_in(statement.body, tape);
  }
  scope_.leave(statement);
  body.push_back(std::move(statement));
}

void Author::add_evaluation(std::vector<Statement>& body) {
  Statement statement{.kind = StatementKind::evaluate, .tape = kEvaluation};
  scope_.enter(statement);
  add_start(statement.body, kEvaluation);
  fill(statement.body, kEvaluation, 1, dice_.between(1, 3));
  scope_.leave(statement);
  body.push_back(std::move(statement));
}

void Author::add_backward(std::vector<Statement>& body, int tape, bool last) {
  const std::vector<Variable> there = scope_.of(tape);
  Statement statement{.kind = StatementKind::backward, .tape = tape};
  for (int i = dice_.chance(65) ? 1 : dice_.between(2, 4); i > 0 && !there.empty(); --i) {
    statement.inputs.push_back(some(tape));
  }
  if (!scope_.any_wanted(statement.inputs) || scope_.region_open(tape)) {
    return;
  }
  if (dice_.chance(60)) {  // nothing of the step is held in its backward but what it is of
    std::vector<Variable> others = there;
    std::erase_if(others, [&](Variable variable) {
      return std::find(statement.inputs.begin(), statement.inputs.end(), variable) != statement.inputs.end();
    });
    if (!others.empty()) {
      add(body, {.kind = StatementKind::drop, .tape = tape, .inputs = std::move(others)});
    }
  }
  statement.times = dice_.chance(12) ? 2 : 1;
  statement.retains = !last && dice_.chance(40);
  statement.gives_away = dice_.chance(70);
  add(body, std::move(statement));
}

void Author::add_some(std::vector<Statement>& body, int tape, int depth) {
  const int roll = dice_.below(100);
  if (rare_ && roll < 10) {
    switch (dice_.below(5)) {
      case 0: add(body, {.kind = StatementKind::configure, .choice = dice_.below(2)}); return;
      case 1: add(body, {.kind = StatementKind::reset}); return;
      case 2: add_backward(body, tape, false); return;
      case 3:
        if (tape != kEvaluation) {
          add_op(body, 1 - tape);
        }
        return;
      default:
        if (tape != kEvaluation) {
          add_evaluation(body);
        }
        return;
    }
  }
  const bool deeper = depth < kDeepest;
  const int regions = layered_ && depth == 0 ? 60 : 18;
  if (deeper && roll < 10 + regions) {
    add_with_body(body, dice_.chance(50) ? StatementKind::checkpoint : StatementKind::region, tape, depth);
  } else if (deeper && roll >= 92) {
    add_with_body(body, StatementKind::fork, tape, depth);
  } else if (roll >= 84) {
    add_drop(body, tape);
  } else {
    add_op(body, tape);
  }
}

void Author::fill(std::vector<Statement>& body, int tape, int depth, int statements) {
  add_op(body, tape);
  for (int i = 1; i < statements && ops_left_ > 0; ++i) {
    add_some(body, tape, depth);
  }
}

Program Author::write() {
  program_.ranks = dice_.chance(85) ? 1 : dice_.between(2, 3);
  program_.dtype = dice_.chance(70) ? nn::DType::f32 : nn::DType::bf16;
  layered_ = dice_.chance(50);
  rare_ = dice_.chance(30);
  for (int i = dice_.between(1, 2); i > 0; --i) {
    program_.parameters.push_back({.elems = dice_.one_of(kSizes), .of_one_rank = dice_.chance(10)});
  }
  for (int i = rare_ ? 2 : 1; i > 0; --i) {
    program_.settings.push_back(settings());
  }
  program_.failure = dice_.chance(8) ? dice_.between(1, 40) : 0;
  ops_left_ = dice_.chance(70) ? dice_.between(2, 10) : dice_.between(8, 30);
  add_start(program_.body, 0);
  add_op(program_.body, 0);
  while (ops_left_ > 0) {
    add_some(program_.body, 0, 0);
  }
  for (const int tape : {0, 1}) {
    add_backward(program_.body, tape, true);
  }
  return std::move(program_);
}

}  // namespace

Program generate(std::uint64_t seed, std::int64_t number) {
  return Author(seed, number).write();
}

}  // namespace retape::programs
