// Arrays of float64, for the references that tests compare with.
#pragma once

#include <vector>

#include "nn/tensor/shape.h"

namespace retape::nn {

// A dense row-major array; made of zeros.
struct Array64 {
  Shape shape;
  std::vector<double> values;

  explicit Array64(const Shape& extents) : shape(extents), values(static_cast<std::size_t>(extents.elems())) {}

  double& operator[](Elems i) { return values[static_cast<std::size_t>(i)]; }
  double operator[](Elems i) const { return values[static_cast<std::size_t>(i)]; }
  // By row, all extents but the last being one, and column.
  double& operator()(std::int64_t row, std::int64_t column) { return (*this)[row * shape.back() + column]; }
  double operator()(std::int64_t row, std::int64_t column) const { return (*this)[row * shape.back() + column]; }
};

}  // namespace retape::nn
