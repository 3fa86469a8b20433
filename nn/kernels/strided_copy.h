// Copies that put elements elsewhere: slices, concatenations, transpositions.
#pragma once

#include <array>
#include <cstdint>

#include "nn/tensor/dtype.h"
#include "nn/tensor/shape.h"

namespace retape::nn {

// to[i . to_strides] = from[i . from_strides], or added to what is there where `accumulate`, for all i below the
// extents. Where there are fewer dimensions the first extents are 1. No two elements may share a place of `to`.
struct StridedCopy {
  using Extents = std::array<std::int64_t, Shape::kMaxRank>;

  const void* from = nullptr;  // dtype
  void* to = nullptr;          // to_dtype
  Extents extents{1, 1, 1, 1};
  Extents from_strides{};  // in elements
  Extents to_strides{};
  bool accumulate = false;
  DType dtype = DType::f32;
  DType to_dtype = DType::f32;
};

}  // namespace retape::nn
