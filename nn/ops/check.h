// Checks that ops make of their inputs before they touch them.
#pragma once

#include <string_view>

#include "nn/base/error.h"
#include "nn/tensor/tensor.h"

namespace retape::nn {

inline void expect_shape(std::string_view op, std::string_view input, const Tensor& tensor, const Shape& expected) {
  require<ShapeError>(tensor.shape() == expected, "[{}] {}: expected {}, got {}", op, input, expected.str(),
                      tensor.shape().str());
}

inline void expect_dtype(std::string_view op, std::string_view input, const Tensor& tensor, DType expected) {
  require<ShapeError>(tensor.dtype() == expected, "[{}] {}: expected {}, got {}", op, input, name(expected),
                      name(tensor.dtype()));
}

inline void expect_rank(std::string_view op, std::string_view input, const Tensor& tensor, int expected) {
  require<ShapeError>(tensor.shape().rank() == expected, "[{}] {}: expected {} dimensions, got {}", op, input, expected,
                      tensor.shape().str());
}

inline void expect_an_axis(std::string_view op, std::string_view input, const Tensor& tensor) {
  require<ShapeError>(tensor.shape().rank() >= 1, "[{}] {}: expected at least 1 dimension, got a scalar", op, input);
}

// `axis` is one of the tensor's, counted from 0 or back from -1.
inline void expect_axis(std::string_view op, std::string_view argument, int axis, const Tensor& tensor) {
  const int rank = tensor.shape().rank();
  require<ShapeError>(-rank <= axis && axis < rank, "[{}] {}: expected {} to {}, got {}", op, argument, -rank, rank - 1,
                      axis);
}

inline void expect_elements(std::string_view op, std::string_view input, const Tensor& tensor) {
  require<ShapeError>(tensor.elems() > 0, "[{}] {}: expected at least one element, got {}", op, input,
                      tensor.shape().str());
}

inline void expect_floating(std::string_view op, std::string_view input, const Tensor& tensor) {
  require<ShapeError>(tensor.dtype() == DType::f32 || tensor.dtype() == DType::bf16,
                      "[{}] {}: expected f32 or bf16, got {}", op, input, name(tensor.dtype()));
}

inline void expect_probability(std::string_view op, float p) {
  require<ShapeError>(p >= 0 && p < 1, "[{}] p: expected a probability in [0, 1), got {}", op, p);
}

}  // namespace retape::nn
