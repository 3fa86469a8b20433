// Sums, differences, products and quotients, element by element.
#pragma once

#include <algorithm>
#include <cstdint>

#include "nn/base/units.h"
#include "nn/tensor/dtype.h"

namespace retape::nn {

enum class ArithmeticKind : std::uint8_t { add, subtract, multiply, divide };

// Two operands, of which the shorter is repeated along the longer: a multiple of it long.
struct ArithmeticOperands {
  const void* a = nullptr;  // [a_elems] dtype
  const void* b = nullptr;  // [b_elems] dtype
  Elems a_elems = 0;
  Elems b_elems = 0;
  DType dtype = DType::f32;

  Elems elems() const { return std::max(a_elems, b_elems); }
  Elems period() const { return std::min(a_elems, b_elems); }
};

// out[i] = a[i % a_elems] + - x / b[i % b_elems], in f32, rounded once.
struct ArithmeticForward {
  ArithmeticKind kind = ArithmeticKind::add;
  ArithmeticOperands operands;
  void* out = nullptr;  // [elems] dtype
};

// The gradient of an operand, summed over its repetitions:
//
//   add       dout        dout
//   subtract  dout        -dout
//   multiply  dout b      dout a
//   divide    dout / b    -(dout / b) (a / b)
struct ArithmeticBackward {
  ArithmeticKind kind = ArithmeticKind::add;
  ArithmeticOperands operands;  // null where the gradient does not read them
  bool of_b = false;            // otherwise of a
  const void* dout = nullptr;   // [elems] dtype
  void* gradient = nullptr;     // [elems of the operand] gradient_dtype
  bool accumulate = false;
  DType gradient_dtype = DType::f32;
  void* workspace = nullptr;
};

}  // namespace retape::nn
