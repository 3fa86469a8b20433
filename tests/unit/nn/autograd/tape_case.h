// What tests of the tape share: a device of one thread, scalars, and chains of toy ops.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>

#include "nn/autograd/tape.h"
#include "tests/support/meter.h"
#include "tests/unit/nn/autograd/toy_ops.h"

namespace retape::nn {

class TapeCase : public testing::Test {
 protected:
  TapeCase() : device_({.kind = DeviceKind::cpu, .threads = 1}), context_(device_, {.seed = 7, .offset = 0}) {}

  Tensor scalar(float value) {
    Tensor tensor(device_, Shape{}, DType::f32, Tag::parameters);
    tensor.from_host<float>(std::array{value});
    return tensor;
  }
  template <class Op>
  Var apply(Tape& tape, Var x, int id) {
    return tape.run<Op>({&log_, id}, {std::move(x)});
  }
  Var sum(Tape& tape, Var a, Var b, int id) { return tape.run<toy::Sum>({&log_, id}, {std::move(a), std::move(b)}); }
  // A value that an op has made, so that policies are asked about it.
  Var start(Tape& tape) { return apply<toy::DoubleReadingNothing>(tape, tape.leaf(scalar(1), &slot_), kStart); }
  // A region "h.LAYER" of `ops` ops that read their inputs, with ids from LAYER * ops on.
  Var block(Tape& tape, Var x, int layer, int ops) {
    const RegionScope region = tape.region("h." + std::to_string(layer));
    for (int i = 0; i < ops; ++i) {
      x = apply<toy::DoubleReadingInput>(tape, std::move(x), layer * ops + i);
    }
    return x;
  }
  float take_gradient() {
    const float gradient = slot_.gradient.to_host<float>().front();
    slot_ = {};
    return gradient;
  }

  static constexpr int kStart = 100'000;

  Device device_;
  Context context_;
  toy::Log log_;
  GradientSlot slot_;
};

}  // namespace retape::nn
