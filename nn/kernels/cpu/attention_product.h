// Products of small f32 matrices that live in scratch, and how they get there.
#pragma once

#include <cstdint>

#include "nn/tensor/dtype.h"

namespace retape::nn::cpu::attention {

// Rows of c that one strip computes; rows in scratch are padded to a multiple of it.
inline constexpr std::int64_t kStripRows = 4;

// Element (m, k) is data[m * row_stride + k * depth_stride]: with the strides exchanged, a transposed matrix.
struct LeftOperand {
  const float* data;
  std::int64_t row_stride;
  std::int64_t depth_stride;
};

// c [kStripRows, cols] = a [kStripRows, depth] b [depth, cols], or c += a b. The rows of b and c are b_stride and
// c_stride apart; cols is rounded up to whole vectors, which b and c must have room for.
void strip_product(LeftOperand a, const float* b, std::int64_t b_stride, float* c, std::int64_t c_stride,
                   std::int64_t cols, std::int64_t depth, bool accumulate);

// A matrix in memory of f32 or bf16, `stride` elements from row to row.
template <class T>
struct Rows {
  T* data;
  std::int64_t stride;

  T* row(std::int64_t i) const { return data + i * stride; }
};

// The rows in f32, `padded_cols` apart; what lies beyond `cols` is zero, as are rows up to `padded_rows`.
template <class T>
void pack_rows(Rows<const T> from, std::int64_t rows, std::int64_t cols, float* to, std::int64_t padded_rows,
               std::int64_t padded_cols);

// Transposed panels for the right side of a product: each holds kPanelCols of the rows as [cols, kPanelCols], and
// follows the one before. Rows that are missing from the last are zero.
inline constexpr std::int64_t kPanelCols = 64;
template <class T>
void pack_transposed_panels(Rows<const T> from, std::int64_t rows, std::int64_t cols, float* to);

// to = from * factor, rounded once; `from` has room for whole vectors.
template <class T>
void store_row(const float* from, float factor, std::int64_t cols, T* to);

template <class T>
float dot(const T* a, const T* b, std::int64_t count);

}  // namespace retape::nn::cpu::attention
