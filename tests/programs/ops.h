// Ops of random programs: one of each kind that the tape knows. Elementwise, of any shape, for f32 and bf16, on cpu and
// meta; what they compute stays near [-1, 1] however they are combined. Where two values are read, the second is
// repeated or cut to the size of the first.
//
//   scale              y = 3 x / 4                       backward reads nothing
//   resize             elements of x, again and again    another size
//   square             y = x - x^2 / 4                   reads its input
//   softsign           y = x / (1 + |x|)                 reads its output
//   head               y = x^2 / 2                       computes its gradient in forward, which is never let go
//   alias              y = x                             in the same memory
//   share              y = mean of x over the ranks      a collective
//   centre             y = (x - m)(1 + m / 4), m = mean  has a cheap rebuild that reads inputs and statistics
//   dropout            of nn/ops
//   dropout_residual   of nn/ops
//   add                y = (a + b) / 2
//   times              y = a b                           reads both inputs
//   gate               y = softsign(a b)                 has a cheap rebuild that reads the product alone
#pragma once

#include <span>

#include "parallel/comm/group.h"
#include "tests/programs/program.h"

namespace retape::programs {

inline constexpr float kDropout = 0.25F;

// Runs the statement's op. `group`: the ranks of a collective.
nn::Var run_op(nn::Tape& tape, const Statement& statement, std::span<const nn::Var> inputs,
               const parallel::Group& group);

// The scalar mean of the value's elements, each with a weight of its own: what programs differentiate.
nn::Var run_loss(nn::Tape& tape, const nn::Var& value);
// The sum of two scalars.
nn::Var run_sum(nn::Tape& tape, const nn::Var& a, const nn::Var& b);

}  // namespace retape::programs
