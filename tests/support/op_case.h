// Every op is declared once as cases, and each case is checked for f32 and bf16: see op_case_checks.cpp for what is
// checked. A test of an op is its cases, their reference in float64, and
//
//   INSTANTIATE_TEST_SUITE_P(LayerNorm, OpCaseTest, testing::ValuesIn(in_both_dtypes({...})), op_case_name);
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nn/autograd/tape.h"
#include "tests/support/array64.h"

namespace retape::nn {

// What an op is given.
struct OpInput {
  enum class Kind : std::uint8_t {
    activation,  // dtype of the case, as is its gradient
    parameter,   // dtype of the case; its gradient is f32
    index,       // i32, without a gradient
  };
  std::string_view name;
  Kind kind = Kind::activation;
  Shape shape;
  double scale = 1;        // normally distributed with this deviation
  double mean = 0;         // around this
  std::int64_t below = 0;  // indices are in [0, below)
};

OpInput activation(std::string_view name, const Shape& shape, double scale = 1);
OpInput parameter(std::string_view name, const Shape& shape, double scale = 1);
OpInput indices(std::string_view name, const Shape& shape, std::int64_t below);
// The input with its values around `mean`: far from 0, where the op has a pole there.
OpInput around(double mean, OpInput input);

// The inputs of a case as the reference sees them: rounded to the dtype of the case, then exact.
struct ReferenceInputs {
  std::span<const Array64> arrays;
  RngRange rng;  // of the first op that draws

  const Array64& operator[](std::size_t i) const { return arrays[i]; }
};

// An op with its arguments, as the tape would record it.
struct DeclaredOp {
  const Op* op;
  ArgsBox args;
};

template <class T>
DeclaredOp declared(const typename T::Args& args) {
  return {&kOp<T>, ArgsBox(args)};
}

using Vars = std::vector<Var>;

struct OpCase {
  std::string name;  // letters, digits and underscores
  std::vector<OpInput> inputs;
  std::function<Var(Tape&, const Vars&)> apply;
  std::function<Array64(const ReferenceInputs&)> reference;
  std::optional<DeclaredOp> op;  // where the case runs a single op: what it declares is checked too
  Elems random_elems = 0;        // drawn from the generator
  bool view = false;             // the output shares the memory of the first input
  // Rounding is relative to values and their root mean square, and to this: the size of terms that cancel.
  double cancelling = 1e-3;
};

struct OpCaseParam {
  OpCase op_case;
  DType dtype = DType::f32;
};

class OpCaseTest : public testing::TestWithParam<OpCaseParam> {};

std::vector<OpCaseParam> in_both_dtypes(const std::vector<OpCase>& cases);
std::string op_case_name(const testing::TestParamInfo<OpCaseParam>& info);
std::ostream& operator<<(std::ostream& out, const OpCaseParam& param);

// A call that must fail before it touches anything.
struct OpErrorCase {
  struct Input {
    Shape shape;
    DType dtype = DType::f32;
  };
  std::string name;
  std::vector<Input> inputs;
  std::function<Var(Tape&, const Vars&)> apply;
  std::string message;  // the whole of it, of a ShapeError
};

class OpErrorTest : public testing::TestWithParam<OpErrorCase> {};

std::string op_error_name(const testing::TestParamInfo<OpErrorCase>& info);
std::ostream& operator<<(std::ostream& out, const OpErrorCase& error_case);

}  // namespace retape::nn
