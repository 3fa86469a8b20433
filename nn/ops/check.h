// Checks that ops make of their inputs before they touch them.
#pragma once

#include <string_view>

#include "nn/base/error.h"
#include "nn/tensor/tensor.h"

namespace retape::nn {

// An input of an op while it is examined. Each function throws ShapeError, which names op and input, where it does not
// hold; the result stands for the tensor.
class Checked {
 public:
  Checked(std::string_view op, std::string_view input, const Tensor& tensor)
      : op_(op), input_(input), tensor_(tensor) {}
  operator const Tensor&() const { return tensor_; }  // NOLINT(google-explicit-constructor): it is that tensor

  const Checked& shape(const Shape& expected) const {
    return tensor_.shape() == expected ? *this : refuse(expected.str(), tensor_.shape().str());
  }
  const Checked& rank(int expected) const {
    return tensor_.shape().rank() == expected ? *this
                                              : refuse(fmt::format("{} dimensions", expected), tensor_.shape().str());
  }
  const Checked& an_axis() const {
    return tensor_.shape().rank() >= 1 ? *this : refuse("at least 1 dimension", "a scalar");
  }
  const Checked& not_empty() const {
    return tensor_.elems() > 0 ? *this : refuse("at least one element", tensor_.shape().str());
  }
  const Checked& dtype(DType expected) const {
    return tensor_.dtype() == expected ? *this : refuse(name(expected), name(tensor_.dtype()));
  }
  const Checked& floating() const {
    const bool holds = tensor_.dtype() == DType::f32 || tensor_.dtype() == DType::bf16;
    return holds ? *this : refuse("f32 or bf16", name(tensor_.dtype()));
  }

 private:
  [[noreturn]] const Checked& refuse(std::string_view expected, std::string_view found) const {
    fail<ShapeError>("[{}] {}: expected {}, got {}", op_, input_, expected, found);
  }

  std::string_view op_;
  std::string_view input_;
  const Tensor& tensor_;
};

// `axis` is one of the tensor's, counted from 0 or back from -1.
inline void expect_axis(std::string_view op, std::string_view argument, int axis, const Tensor& tensor) {
  const int rank = tensor.shape().rank();
  require<ShapeError>(-rank <= axis && axis < rank, "[{}] {}: expected {} to {}, got {}", op, argument, -rank, rank - 1,
                      axis);
}

inline void expect_probability(std::string_view op, float p) {
  require<ShapeError>(p >= 0 && p < 1, "[{}] p: expected a probability in [0, 1), got {}", op, p);
}

}  // namespace retape::nn
