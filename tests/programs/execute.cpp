#include "tests/programs/execute.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include "nn/base/error.h"
#include "tests/programs/ops.h"
#include "tests/programs/values.h"

namespace retape::programs {
namespace {

using checkpointing::Checkpointer;
using nn::Tape;
using nn::Tensor;
using nn::Var;

constexpr std::uint64_t kSeed = 7;

struct Parameter {
  Tensor data;
  nn::GradientSlot slot;
  nn::Placement placement = nn::Placement::replicated;
};

struct PlannedFailure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Lets the tape's n-th event fail, and hands all events on.
class FailingObserver final : public nn::TapeObserver {
 public:
  FailingObserver(nn::TapeObserver* next, int& events_left) : next_(next), events_left_(events_left) {}
  void on_event(const nn::TapeEvent& event) override {
    if (events_left_ > 0 && --events_left_ == 0) {
      throw PlannedFailure("planned");
    }
    if (next_ != nullptr) {
      next_->on_event(event);
    }
  }
  void on_boundary(const nn::Region& region) override {
    if (next_ != nullptr) {
      next_->on_boundary(region);
    }
  }

 private:
  nn::TapeObserver* next_;
  int& events_left_;
};

class Run {
 public:
  Run(const Program& program, const Plan& plan, const parallel::Topology& topology);
  Outcome outcome();

 private:
  void run(const std::vector<Statement>& body);
  void run(const Statement& statement);
  void run_body(const Statement& statement);
  void run_checkpoint(const Statement& statement);
  void run_op(const Statement& statement);
  void evaluate(const Statement& statement);
  void backward(const Statement& statement);
  void configure(int settings);
  void run_from_the_start();
  void let_go();
  void note_slab();
  void define(Variable variable, Var value);
  Var& at(Variable variable) { return variables_[static_cast<std::size_t>(variable)]; }
  std::vector<Var> take(const std::vector<Variable>& variables, bool give_away);
  Tape& tape(int number);
  void end_tape(std::optional<Tape>& tape);
  Tensor filled(int elems, int seed, bool of_one_rank, nn::Tag tag);

  const Program& program_;
  const Plan& plan_;
  parallel::Topology topology_;
  Outcome outcome_;
  nn::Device device_;
  nn::Context context_;
  Checkpointer checkpointer_;
  std::vector<Parameter> parameters_;
  std::array<std::optional<Tape>, kTapes + 1> tapes_;
  std::vector<Var> variables_;
  std::vector<std::vector<Variable>> made_{1};  // by body, innermost last
  int settings_ = 0;
  int events_left_ = 0;  // before the one that fails
};

Run::Run(const Program& program, const Plan& plan, const parallel::Topology& topology)
    : program_(program),
      plan_(plan),
      topology_(topology),
      device_({.kind = plan.device, .threads = 1}),
      context_(device_),
      checkpointer_(context_, topology, [this](const std::string& /*text*/) { ++outcome_.warnings; }),
      variables_(static_cast<std::size_t>(program.variables)) {
  outcome_.slabs.resize(program.settings.size());
}

// Numbers in [-1, 1).
Tensor Run::filled(int elems, int seed, bool of_one_rank, nn::Tag tag) {
  Tensor tensor(device_, nn::Shape{elems}, program_.dtype, tag);
  if (device_.computes()) {
    const auto rank = static_cast<std::uint64_t>(of_one_rank ? topology_.tensor.rank() : 0);
    const nn::RngRange range{static_cast<std::uint64_t>(seed), 1000 * rank};
    std::vector<float> values(static_cast<std::size_t>(elems));
    for (int i = 0; i < elems; ++i) {
      values[static_cast<std::size_t>(i)] = static_cast<float>(range.bits(i) >> 8) / 8388608.0F - 1;
    }
    write(tensor, values);
  }
  return tensor;
}

Tape& Run::tape(int number) {
  std::optional<Tape>& tape = tapes_[static_cast<std::size_t>(number)];
  if (!tape) {
    nn::TapeOptions options = checkpointer_.tape_options();
    options.record = number != kEvaluation;
    if (events_left_ > 0) {
      const auto failing = std::make_shared<std::pair<FailingObserver, std::shared_ptr<const void>>>(
          FailingObserver(options.observer, events_left_), options.held);
      options.observer = &failing->first;
      options.held = failing;
    }
    tape.emplace(context_, std::move(options));
  }
  return *tape;
}

void Run::end_tape(std::optional<Tape>& tape) {
  if (tape) {
    outcome_.work += tape->stats();
    tape.reset();
  }
}

void Run::define(Variable variable, Var value) {
  at(variable) = std::move(value);
  made_.back().push_back(variable);
}

std::vector<Var> Run::take(const std::vector<Variable>& variables, bool give_away) {
  std::vector<Var> values;
  values.reserve(variables.size());
  for (const Variable variable : variables) {
    values.push_back(at(variable));
  }
  if (give_away) {
    for (const Variable variable : variables) {
      at(variable) = Var();
    }
  }
  return values;
}

void Run::run(const std::vector<Statement>& body) {
  for (const Statement& statement : body) {
    run(statement);
  }
}

// What the body makes goes with it, as local variables do, but for what it returns.
void Run::run_body(const Statement& statement) {
  made_.emplace_back();
  run(statement.body);
  std::vector<Variable> made = std::move(made_.back());
  made_.pop_back();
  made.insert(made.end(), statement.parameters.begin(), statement.parameters.end());
  for (const Variable variable : made) {
    const bool returned =
        std::find(statement.returned.begin(), statement.returned.end(), variable) != statement.returned.end();
    if (returned) {
      made_.back().push_back(variable);
    } else {
      at(variable) = Var();
    }
  }
}

void Run::run_checkpoint(const Statement& statement) {
  std::vector<Var> arguments = take(statement.inputs, statement.gives_away);
  const auto function = [&](std::vector<Var> values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      at(statement.parameters[i]) = std::move(values[i]);
    }
    values.clear();
    run_body(statement);
    return take(statement.returned, true);
  };
  std::vector<Var> returned = plan_.keep_everything
                                  ? function(std::move(arguments))
                                  : checkpointer_.checkpoint(tape(statement.tape), function, std::move(arguments));
  for (std::size_t i = 0; i < returned.size(); ++i) {
    at(statement.returned[i]) = std::move(returned[i]);
  }
}

void Run::run_op(const Statement& statement) {
  define(statement.result,
         programs::run_op(tape(statement.tape), statement, take(statement.inputs, false), topology_.tensor));
}

void Run::run(const Statement& statement) {
  switch (statement.kind) {
    case StatementKind::constant:
      define(statement.result,
             tape(statement.tape)
                 .leaf(filled(statement.elems, 100 + statement.result, statement.of_one_rank, nn::Tag::activations),
                       nullptr, {}, statement.of_one_rank ? nn::Placement::shard : nn::Placement::replicated));
      return;
    case StatementKind::parameter: {
      Parameter& parameter = parameters_[static_cast<std::size_t>(statement.choice)];
      define(statement.result,
             tape(statement.tape).leaf(parameter.data, &parameter.slot, "parameter", parameter.placement));
      return;
    }
    case StatementKind::op: run_op(statement); return;
    case StatementKind::drop: take(statement.inputs, true); return;
    case StatementKind::region: {
      std::optional<nn::RegionScope> region;
      if (!plan_.keep_everything) {
        region.emplace(tape(statement.tape).region(fmt::format("r.{}", tape(statement.tape).region_count())));
      }
      run_body(statement);
      if (region) {
        region->close();
      }
      return;
    }
    case StatementKind::checkpoint: run_checkpoint(statement); return;
    case StatementKind::fork: {
      const auto fork = checkpointer_.rng().fork(kGenerators[static_cast<std::size_t>(statement.choice)]);
      run(statement.body);
      return;
    }
    case StatementKind::evaluate: evaluate(statement); return;
    case StatementKind::configure: configure(statement.choice); return;
    case StatementKind::reset: checkpointer_.reset(); return;
    case StatementKind::backward: backward(statement); return;
  }
}

void Run::evaluate(const Statement& statement) {
  run_body(statement);
  end_tape(tapes_[kEvaluation]);
}

void Run::backward(const Statement& statement) {
  std::optional<Tape>& tape = tapes_[static_cast<std::size_t>(statement.tape)];
  Var loss;
  for (const Variable root : statement.inputs) {
    Var of_root = run_loss(*tape, at(root));
    loss = loss.data().defined() ? run_sum(*tape, loss, of_root) : std::move(of_root);
  }
  if (statement.gives_away) {
    take(statement.inputs, true);
  }
  if (device_.computes()) {
    outcome_.losses.push_back(read(loss.data()).front());
  }
  for (int i = 1; i < statement.times; ++i) {
    tape->backward(loss, {.retain = true});
  }
  tape->backward(std::move(loss), {.retain = statement.retains});
  if (!statement.retains) {
    end_tape(tape);
  }
}

void Run::note_slab() {
  if (checkpointer_.is_configured()) {
    Bytes& slab = outcome_.slabs[static_cast<std::size_t>(settings_)];
    slab = std::max(slab, checkpointer_.store_stats().slab_top);
  }
}

void Run::configure(int settings) {
  if (plan_.keep_everything) {
    return;
  }
  note_slab();
  settings_ = settings;
  const SettingsForm& form = program_.settings[static_cast<std::size_t>(settings)];
  Bytes slab_bytes = 0;
  const bool measures = form.contiguous == Contiguous::measured && plan_.measured_slabs.empty();
  if (form.contiguous == Contiguous::measured && !measures) {
    slab_bytes = std::max<Bytes>(plan_.measured_slabs[static_cast<std::size_t>(settings)], 1);
  }
  checkpointer_.set_policy(form.policy);
  checkpointer_.configure(
      {.partition_activations = form.partition,
       .contiguous_memory_optimization = form.contiguous != Contiguous::off,
       .cpu_checkpointing = form.host,
       .number_checkpoints = form.contiguous == Contiguous::counted ? form.number_checkpoints : 0,
       .slab_bytes = slab_bytes,
       .host_memory_limit = measures ? 0 : form.host_limit,  // its size does not depend on whether it fits
       .synchronize_checkpoint_boundary = form.synchronize,
       .profile = form.profile});
}

void Run::run_from_the_start() {
  checkpointer_.model_parallel_seed(kSeed);
  checkpointer_.rng().add(kGenerators[3], 1000 + static_cast<std::uint64_t>(topology_.tensor.rank()));
  checkpointer_.rng().add(kGenerators[4], 2000, nn::Placement::replicated);
  configure(0);
  run(program_.body);
}

void Run::let_go() {
  for (std::optional<Tape>& tape : tapes_) {
    end_tape(tape);
  }
  std::fill(variables_.begin(), variables_.end(), Var());
}

Outcome Run::outcome() {
  try {
    for (const ParameterForm& form : program_.parameters) {
      parameters_.push_back(
          {.data = filled(form.elems, static_cast<int>(parameters_.size()), form.of_one_rank, nn::Tag::parameters),
           .slot = {.dtype = program_.dtype},
           .placement = form.of_one_rank ? nn::Placement::shard : nn::Placement::replicated});
    }
    events_left_ = plan_.keep_everything ? 0 : program_.failure;
    try {
      run_from_the_start();
    } catch (const PlannedFailure&) {
      note_slab();
      let_go();
      made_.assign(1, {});
      for (Parameter& parameter : parameters_) {
        parameter.slot.gradient = Tensor();
      }
      outcome_.losses.clear();
      outcome_.work = {};
      run_from_the_start();
    }
  } catch (const std::exception& error) {
    outcome_.failure = error.what();
  }
  note_slab();
  let_go();
  outcome_.memory = device_.memory().stats();
  outcome_.work.rebuild_time = {};
  outcome_.generators = checkpointer_.rng().get_states();
  for (const Parameter& parameter : parameters_) {
    const bool has_gradient = device_.computes() && parameter.slot.gradient.defined();
    outcome_.gradients.push_back(has_gradient ? read(parameter.slot.gradient) : std::vector<float>());
  }
  if (checkpointer_.is_configured()) {
    outcome_.store = checkpointer_.store_stats();
    outcome_.most_offloaded = checkpointer_.take_offloaded_bytes();
    checkpointer_.reset();
  }
  for (const nn::Tag tag : {nn::Tag::activations, nn::Tag::checkpoints, nn::Tag::recompute}) {
    outcome_.left_behind += device_.memory().stats().live_by_tag[static_cast<std::size_t>(tag)];
  }
  return std::move(outcome_);
}

}  // namespace

Outcome execute(const Program& program, const Plan& plan, const parallel::Topology& topology) {
  return Run(program, plan, topology).outcome();
}

}  // namespace retape::programs
