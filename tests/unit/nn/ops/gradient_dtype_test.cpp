// A slot that sums in another dtype than an op writes is an error, and not a gradient of something else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>
#include <string_view>

#include "nn/ops/attention.h"
#include "nn/ops/dropout.h"
#include "nn/ops/layer_norm.h"
#include "nn/ops/linear.h"
#include "tests/support/test_ops.h"

namespace retape::nn {
namespace {

using Apply = std::function<Var(Tape&, const Var& x, const Var& parameter)>;

struct Case {
  std::string name;
  Apply apply;  // to x [1, 2, 6] and a parameter of some shape
  Shape parameter;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.name;
}

class GradientDtype : public testing::TestWithParam<Case> {
 protected:
  Var leaf(Tape& tape, const Shape& shape, GradientSlot* slot, std::string_view name) {
    return tape.leaf(Tensor(device_, shape, DType::bf16, Tag::parameters), slot, name);
  }

  // Backward through the case, with slots that sum x and the parameter in these dtypes.
  void run(DType x_sum, DType parameter_sum) {
    GradientSlot x_slot{.dtype = x_sum};
    GradientSlot parameter_slot{.dtype = parameter_sum};
    Tape tape(context_);
    const Var x = leaf(tape, {1, 2, 6}, &x_slot, "x");
    const Var parameter = leaf(tape, GetParam().parameter, &parameter_slot, "parameter");
    const Var y = GetParam().apply(tape, x, parameter);
    const Var weights = tape.leaf(Tensor(device_, y.shape(), DType::f32, Tag::parameters));
    tape.backward(tape.run<WeightedSum>({.quadratic = false}, {y, weights}));
  }

  Device device_{{.kind = DeviceKind::meta, .threads = 1}};
  Context context_{device_};
};

TEST_P(GradientDtype, ThatTheSlotsHaveIsNoError) {
  EXPECT_NO_THROW(run(DType::bf16, DType::f32));
}

TEST_P(GradientDtype, OfAnActivationIsItsOwn) {
  EXPECT_THAT([&] { run(DType::f32, DType::f32); },
              testing::ThrowsMessage<ShapeError>("[tape] gradient of x: expected f32 [1, 2, 6], got bf16 [1, 2, 6]"));
}

TEST_P(GradientDtype, OfAParameterIsF32) {
  if (GetParam().parameter == Shape{}) {
    GTEST_SKIP() << "it has no parameter";
  }
  const std::string shape = GetParam().parameter.str();
  EXPECT_THAT([&] { run(DType::bf16, DType::bf16); },
              testing::ThrowsMessage<ShapeError>(
                  fmt::format("[tape] gradient of parameter: expected bf16 {}, got f32 {}", shape, shape)));
}

// A leaf whose gradient nobody wants.
Var constant(Tape& tape, const Shape& shape) {
  return tape.leaf(Tensor(tape.context().device(), shape, DType::bf16, Tag::parameters));
}

Var weight_of_linear(Tape& tape, const Var& x, const Var& weight) {
  return linear(tape, x, weight, constant(tape, {3}));
}
Var bias_of_linear(Tape& tape, const Var& x, const Var& bias) {
  return linear(tape, x, constant(tape, {6, 3}), bias);
}
Var weight_of_linear_gelu(Tape& tape, const Var& x, const Var& weight) {
  return linear_gelu(tape, x, weight, constant(tape, {3}));
}
Var bias_of_linear_gelu(Tape& tape, const Var& x, const Var& bias) {
  return linear_gelu(tape, x, constant(tape, {6, 3}), bias);
}
Var gamma_of_layer_norm(Tape& tape, const Var& x, const Var& gamma) {
  return layer_norm(tape, x, gamma, constant(tape, {6}));
}
Var attention_of(Tape& tape, const Var& x, const Var& /*parameter*/) {
  return attention(tape, x, 2, 0);
}
Var dropout_of(Tape& tape, const Var& x, const Var& /*parameter*/) {
  return dropout(tape, x, 0.5F);
}
Var sum_with_itself(Tape& tape, const Var& x, const Var& /*parameter*/) {
  return dropout_residual(tape, x, x, 0);
}

INSTANTIATE_TEST_SUITE_P(Ops, GradientDtype,
                         testing::Values(Case{"linear_weight", weight_of_linear, {6, 3}},
                                         Case{"linear_bias", bias_of_linear, {3}},
                                         Case{"linear_gelu_weight", weight_of_linear_gelu, {6, 3}},
                                         Case{"linear_gelu_bias", bias_of_linear_gelu, {3}},
                                         Case{"layer_norm_gamma", gamma_of_layer_norm, {6}},
                                         Case{"attention", attention_of, {}}, Case{"dropout", dropout_of, {}},
                                         Case{"sum_with_itself", sum_with_itself, {}}),
                         [](const testing::TestParamInfo<Case>& info) { return info.param.name; });

}  // namespace
}  // namespace retape::nn
