#include "tests/programs/shrink.h"

#include <utility>

#include "tests/programs/scope.h"

namespace retape::programs {
namespace {

using Body = std::vector<Statement>;

// Calls edit(body, index) for the n-th statement, counted as they are read; false where there are fewer.
bool edit_statement(Body& body, int& n, const std::function<void(Body&, std::size_t)>& edit) {
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (n-- == 0) {
      edit(body, i);
      return true;
    }
    if (edit_statement(body[i].body, n, edit)) {
      return true;
    }
  }
  return false;
}

void take_out(Body& body, std::size_t i) {
  body.erase(body.begin() + static_cast<std::ptrdiff_t>(i));
}

// Puts the statements of a body where the body was.
void take_off_frame(Body& body, std::size_t i) {
  if (body[i].kind == StatementKind::evaluate) {
    return;
  }
  Body inner = std::move(body[i].body);
  take_out(body, i);
  body.insert(body.begin() + static_cast<std::ptrdiff_t>(i), std::make_move_iterator(inner.begin()),
              std::make_move_iterator(inner.end()));
}

void make_plain(Body& body, std::size_t i) {
  Statement& statement = body[i];
  if (statement.kind == StatementKind::checkpoint && statement.inputs.empty()) {
    statement.kind = StatementKind::region;
  }
  if (statement.kind == StatementKind::op) {
    statement.op = inputs_of(statement.op) == 1 ? OpKind::square : OpKind::times;
    statement.choice = 0;
  }
  statement.times = 1;
  statement.retains = false;
  statement.gives_away = false;
  statement.of_one_rank = false;
}

void lose_inputs(Body& body, std::size_t i) {
  Statement& statement = body[i];
  if (statement.kind == StatementKind::op && inputs_of(statement.op) == 2) {
    statement.op = OpKind::square;
    statement.inputs.pop_back();
  } else if (statement.kind != StatementKind::op && statement.inputs.size() > 1) {
    statement.inputs.pop_back();
    statement.parameters.resize(std::min(statement.parameters.size(), statement.inputs.size()));
  } else if (statement.kind == StatementKind::checkpoint) {
    statement.inputs.clear();
    statement.parameters.clear();
  }
}

void lose_returned(Body& body, std::size_t i) {
  if (!body[i].returned.empty()) {
    body[i].returned.erase(body[i].returned.begin());
  }
}

void become_scale(Body& body, std::size_t i) {
  if (body[i].kind == StatementKind::op) {
    body[i].op = OpKind::scale;
    body[i].inputs.resize(1);
    body[i].choice = 0;
  }
}

void simplify(SettingsForm& form, int part) {
  switch (part) {
    case 0: form.policy = checkpointing::none(); return;
    case 1: form.policy = checkpointing::full(); return;
    case 2: form.partition = false; return;
    case 3: form.contiguous = Contiguous::off; return;
    case 4: form.host = false; return;
    case 5: form.host_limit = 0; return;
    case 6: form.synchronize = false; return;
    case 7: form.profile = false; return;
    default: form.number_checkpoints = 64; return;
  }
}
constexpr int kPartsOfSettings = 9;

class Shrinker {
 public:
  Shrinker(Program program, const std::function<bool(const Program&)>& fails, int tries)
      : best_(std::move(program)), fails_(fails), tries_(tries) {}

  Program shrink() {
    while (pass() && tries_ > 0) {
    }
    return std::move(best_);
  }

 private:
  bool pass() {
    bool smaller = false;
    for (const auto& edit : {take_out, take_off_frame, lose_inputs, lose_returned, become_scale, make_plain}) {
      smaller = edit_each(edit) || smaller;
    }
    return edit_whole() || smaller;
  }

  // Where a statement is gone the next has its number.
  bool edit_each(void (*edit)(Body&, std::size_t)) {
    bool smaller = false;
    for (int n = 0; n < count_statements(best_.body) && tries_ > 0;) {
      Program program = best_;
      int left = n;
      edit_statement(program.body, left, edit);
      const int before = count_statements(best_.body);
      if (try_instead(std::move(program))) {
        smaller = true;
        n += count_statements(best_.body) < before ? 0 : 1;
      } else {
        ++n;
      }
    }
    return smaller;
  }

  bool edit_whole() {
    bool smaller = false;
    const auto attempt = [&](const std::function<void(Program&)>& edit) {
      Program program = best_;
      edit(program);
      smaller = try_instead(std::move(program)) || smaller;
    };
    attempt([](Program& program) { program.ranks = std::max(1, program.ranks - 1); });
    attempt([](Program& program) { program.dtype = nn::DType::f32; });
    attempt([](Program& program) { program.failure = 0; });
    attempt([](Program& program) { program.failure = std::max(program.failure - 1, 0); });
    for (std::size_t s = 0; s < best_.settings.size(); ++s) {
      for (int part = 0; part < kPartsOfSettings; ++part) {
        attempt([&](Program& program) { simplify(program.settings[s], part); });
      }
    }
    for (std::size_t p = 0; p < best_.parameters.size(); ++p) {
      attempt([&](Program& program) { program.parameters[p] = {.elems = 16}; });
    }
    attempt([](Program& program) {
      if (program.settings.size() > 1) {
        program.settings.pop_back();
      }
    });
    attempt([](Program& program) {
      if (program.parameters.size() > 1) {
        program.parameters.pop_back();
      }
    });
    return smaller;
  }

  // A program of the same text is no progress.
  bool try_instead(Program program) {
    repair(program);
    if (program == best_ || tries_-- <= 0 || !fails_(program)) {
      return false;
    }
    best_ = std::move(program);
    return true;
  }

  Program best_;
  const std::function<bool(const Program&)>& fails_;
  int tries_;
};

}  // namespace

Program shrink(Program program, const std::function<bool(const Program&)>& fails, int tries) {
  return Shrinker(std::move(program), fails, tries).shrink();
}

}  // namespace retape::programs
