#include "nn/ops/activations.h"

#include <cmath>

#include "tests/support/op_case.h"

namespace retape::nn {
namespace {

using Function = double (*)(double);
using Apply = Var (*)(Tape&, Var, std::string_view);

OpCase activation_of(std::string name, OpInput x, Apply apply, Function function, DeclaredOp op) {
  return {
      .name = std::move(name),
      .inputs = {std::move(x)},
      .apply = [apply](Tape& tape, const Vars& in) { return apply(tape, in[0], {}); },
      .reference =
          [function](const ReferenceInputs& in) {
            Array64 y(in[0].shape);
            for (Elems i = 0; i < y.shape.elems(); ++i) {
              y[i] = function(in[0][i]);
            }
            return y;
          },
      .op = op,
  };
}

OpCase relu_of(std::string name, OpInput x) {
  return activation_of(
      std::move(name), std::move(x), relu, [](double value) { return std::max(value, 0.0); },
      declared<Activation<ActivationKind::relu>>({}));
}
OpCase tanh_of(std::string name, OpInput x) {
  return activation_of(
      std::move(name), std::move(x), tanh, [](double value) { return std::tanh(value); },
      declared<Activation<ActivationKind::tanh>>({}));
}
OpCase sigmoid_of(std::string name, OpInput x) {
  return activation_of(
      std::move(name), std::move(x), sigmoid, [](double value) { return 1 / (1 + std::exp(-value)); },
      declared<Activation<ActivationKind::sigmoid>>({}));
}

INSTANTIATE_TEST_SUITE_P(Activations, OpCaseTest,
                         testing::ValuesIn(in_both_dtypes({
                             relu_of("relu", activation("x", {7, 33, 5})),
                             relu_of("relu_of_a_parameter", parameter("x", {97})),
                             relu_of("relu_of_a_scalar", around(1, activation("x", {}, 0.1))),
                             tanh_of("tanh", activation("x", {7, 33, 5})),
                             tanh_of("tanh_of_a_parameter", parameter("x", {97}, 0.1)),
                             sigmoid_of("sigmoid", activation("x", {7, 33, 5}, 3)),
                             sigmoid_of("sigmoid_of_a_parameter", parameter("x", {97})),
                         })),
                         op_case_name);

template <Apply kApply>
OpErrorCase wrong(std::string name, OpErrorCase::Input x, std::string message) {
  return {std::move(name), {x}, [](Tape& tape, const Vars& in) { return kApply(tape, in[0], {}); }, std::move(message)};
}

INSTANTIATE_TEST_SUITE_P(
    Activations, OpErrorTest,
    testing::Values(wrong<relu>("relu_of_indices", {{7}, DType::i32}, "[relu] x: expected f32 or bf16, got i32"),
                    wrong<tanh>("tanh_of_indices", {{7}, DType::i32}, "[tanh] x: expected f32 or bf16, got i32"),
                    wrong<sigmoid>("sigmoid_of_nothing", {{0}}, "[sigmoid] x: expected at least one element, got [0]")),
    op_error_name);

}  // namespace
}  // namespace retape::nn
