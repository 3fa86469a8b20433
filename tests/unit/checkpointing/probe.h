// An op that says when it ran and what it read, and fails when it is told to.
#pragma once

#include <array>
#include <map>
#include <string_view>
#include <vector>

#include "nn/autograd/tape.h"
#include "tests/unit/checkpointing/rank.h"

namespace retape::checkpointing {

struct ProbeLog {
  std::vector<int> forward;  // ids, in the order they ran
  std::vector<int> backward;
  std::map<int, const void*> read;  // where backward found the input, by id
  int fail_in_run = 0;              // of forwards, counted from 1
  int fail_in_backward = 0;

  int runs(int id) const;
};

// y = x + x^2 / 8 in f32; backward reads x, so that a wrong rebuild shows in the gradient.
struct Probe {
  static constexpr nn::OpTraits kTraits{.name = "probe"};
  static constexpr std::array<std::string_view, 1> kOutputs{"probe"};
  struct Args {
    ProbeLog* log;
    int id;
  };
  static nn::Reads reads(const Args& /*args*/) { return {.inputs = 1, .outputs = 0}; }
  static nn::Outputs forward(nn::Context& context, const Args& args, const nn::Inputs& inputs);
  static void backward(nn::Context& context, const Args& args, const nn::Saved& saved, nn::Gradients& gradients);
  static nn::Cost cost(const Args& /*args*/, std::span<const nn::Shape> inputs) { return {.flops = inputs[0].elems()}; }
};

// Values to probe: a leaf with a gradient, and what is made of it.
class Probes {
 public:
  explicit Probes(Rank& rank) : rank_(rank) {}

  // A leaf of these extents; asked again, another with the same bits.
  nn::Var leaf(nn::Tape& tape, const nn::Shape& shape, nn::Placement placement = nn::Placement::replicated,
               std::uint64_t seed = 1);
  nn::Var probe(nn::Tape& tape, nn::Var x, int id = 0) { return tape.run<Probe>({&log, id}, {std::move(x)}); }
  static nn::Var sum(nn::Tape& tape, nn::Var a, nn::Var b);
  nn::Var loss(nn::Tape& tape, nn::Var y);
  // Of the leaves; sets it back.
  std::vector<float> take_gradient();

  ProbeLog log;

 private:
  Rank& rank_;
  nn::GradientSlot slot_;
};

}  // namespace retape::checkpointing
