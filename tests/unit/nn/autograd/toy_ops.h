// Small ops for tests of the tape: each writes down when its forward and backward ran.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "nn/autograd/tape.h"

namespace retape::nn::toy {

struct Log {
  std::vector<int> forward;  // ids, in the order they ran
  std::vector<int> backward;
  bool throw_in_forward = false;
  bool throw_in_backward = false;

  int runs(int id) const;
};

struct LoggedArgs {
  Log* log;
  int id;
};

// y = 2 x; backward reads what the template says, and checks that it is what it should be.
template <bool kReadsInput, bool kReadsOutput>
struct Double {
  static constexpr OpTraits kTraits{.name = "double"};
  static constexpr std::array<std::string_view, 1> kOutputs{"double"};
  using Args = LoggedArgs;
  static Reads reads(const Args& /*args*/) {
    return {.inputs = kReadsInput ? 1U : 0U, .outputs = kReadsOutput ? 1U : 0U};
  }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& /*args*/, std::span<const Shape> inputs) { return {.flops = inputs[0].elems()}; }
};

// y = a + b; backward reads nothing.
struct Sum {
  static constexpr OpTraits kTraits{.name = "sum"};
  static constexpr std::array<std::string_view, 1> kOutputs{"sum"};
  using Args = LoggedArgs;
  static Reads reads(const Args& /*args*/) { return {}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& /*args*/, std::span<const Shape> inputs) { return {.flops = inputs[0].elems()}; }
};

// y = x + u, u uniform bits of the op's range as floats in [0, 1); backward reads the output.
struct AddNoise {
  static constexpr OpTraits kTraits{.name = "add_noise", .uses_rng = true};
  static constexpr std::array<std::string_view, 1> kOutputs{"add_noise"};
  using Args = LoggedArgs;
  static Reads reads(const Args& /*args*/) { return {.inputs = 0, .outputs = 1}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& /*args*/, std::span<const Shape> inputs) { return {.flops = inputs[0].elems()}; }
  static Elems rng_elems(const Args& /*args*/, std::span<const Shape> inputs) { return inputs[0].elems(); }
};

// inner = x + 1, outer = 2 inner; backward reads inner; outer can be rebuilt from inner alone.
// The first output is outer, the second inner.
struct TwoStage {
  static constexpr OpTraits kTraits{.name = "two_stage"};
  static constexpr std::array<std::string_view, 2> kOutputs{"outer", "inner"};
  static constexpr std::array<Rebuild, 1> kRebuilds{
      Rebuild{.output = 0, .from = {.inputs = 0, .outputs = 2}, .flops_per_elem = 3}};
  using Args = LoggedArgs;
  static constexpr int kRebuildId = 1000;  // logged, plus the id, when the cheap way is taken
  static Reads reads(const Args& /*args*/) { return {.inputs = 0, .outputs = 2}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static Tensor rebuild(Context& context, const Args& args, int output, const Saved& saved);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& /*args*/, std::span<const Shape> inputs) { return {.flops = inputs[0].elems()}; }
};

using DoubleReadingInput = Double<true, false>;
using DoubleReadingOutput = Double<false, true>;
using DoubleReadingNothing = Double<false, false>;

}  // namespace retape::nn::toy
