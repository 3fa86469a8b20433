// Runs an op case on a device, in the settings that the checks of op_case_checks.cpp ask for.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/support/op_case.h"

namespace retape::nn {

using RawBytes = std::vector<unsigned char>;

// The numbers of a case: drawn from a fixed seed and rounded to the dtype.
struct OpCaseData {
  OpCaseData(const OpCase& op_case, DType dtype);

  static constexpr RngState kRng{.seed = 0x9e3779b97f4a7c15, .offset = 11};

  // The float64 reference of the output, and of the loss.
  Array64 output() const { return op_case->reference({.arrays = inputs, .rng = kRng}); }
  double loss() const;

  const OpCase* op_case;
  DType dtype;
  std::vector<Array64> inputs;
  Array64 weights;  // the gradient of the loss by the output
};

class OpBench {
 public:
  struct Setting {
    // Puts the case into a region, in which it gets copies of its activations, and whose last op reads its output: so
    // nothing that it reads is safe from a policy.
    bool region = false;
    const RetentionPolicy* policy = nullptr;
    std::uint32_t wanted = ~0U;  // the inputs that get a gradient, one bit each
    float seed = 1;              // of backward
  };

  OpBench(const OpCaseData& data, DeviceKind device);

  // Forward and backward, the gradients added to those of earlier runs. Returns the bytes of the output.
  RawBytes run(const Setting& setting);
  RawBytes run() { return run({}); }

  Var apply(Tape& tape, std::uint32_t wanted = ~0U);
  void forget_gradients();
  std::vector<RawBytes> gradients() const;  // empty for an input without one
  const Tensor& gradient(std::size_t input) const { return slots_[input].gradient; }
  const std::vector<Tensor>& inputs() const { return inputs_; }
  // The inputs that can have a gradient.
  std::vector<std::size_t> differentiable() const;
  const TapeStats& stats() const { return stats_; }  // of the last run
  Context& context() { return context_; }
  Device& device() { return device_; }
  Bytes live_bytes() { return device_.memory().stats().live; }

 private:
  Vars leaves(Tape& tape, std::uint32_t wanted);
  Var loss(Tape& tape, Var output, bool quadratic);

  const OpCaseData& data_;
  Device device_;
  Context context_;
  std::vector<Tensor> inputs_;
  Tensor weights_;
  std::vector<GradientSlot> slots_;
  TapeStats stats_;
};

RawBytes bytes_of(const Tensor& tensor);

}  // namespace retape::nn
