#include "nn/kernels/cpu/attention_product.h"

#include <algorithm>
#include <cstring>

#include "nn/kernels/cpu/attention_simd.h"

namespace retape::nn::cpu::attention {

namespace {

// 4 x 4 sums, 4 of b and one of a fit 32 registers; with 16 registers, 4 x 2.
constexpr int kVectors = HWY_MAX_BYTES == 32 ? 2 : 4;
constexpr int kRows = static_cast<int>(kStripRows);

template <int vectors>
HWY_INLINE void micro_product(LeftOperand a, const float* HWY_RESTRICT b, std::int64_t b_stride, float* HWY_RESTRICT c,
                              std::int64_t c_stride, std::int64_t depth, bool accumulate) {
  FloatVector sums[kRows][vectors];
  for (int row = 0; row < kRows; ++row) {
    for (int v = 0; v < vectors; ++v) {
      sums[row][v] = accumulate ? load(c + row * c_stride + v * kLanes) : hn::Zero(kFloats);
    }
  }
  for (std::int64_t k = 0; k < depth; ++k) {
    FloatVector right[vectors];
    for (int v = 0; v < vectors; ++v) {
      right[v] = load(b + v * kLanes);
    }
    for (int row = 0; row < kRows; ++row) {
      const FloatVector left = splat(a.data[row * a.row_stride]);
      for (int v = 0; v < vectors; ++v) {
        sums[row][v] = hn::MulAdd(left, right[v], sums[row][v]);
      }
    }
    a.data += a.depth_stride;
    b += b_stride;
  }
  for (int row = 0; row < kRows; ++row) {
    for (int v = 0; v < vectors; ++v) {
      store(sums[row][v], c + row * c_stride + v * kLanes);
    }
  }
}

}  // namespace

void strip_product(LeftOperand a, const float* b, std::int64_t b_stride, float* c, std::int64_t c_stride,
                   std::int64_t cols, std::int64_t depth, bool accumulate) {
  std::int64_t vectors = ceil_div(cols, kLanes);
  for (; vectors >= kVectors; vectors -= kVectors) {
    micro_product<kVectors>(a, b, b_stride, c, c_stride, depth, accumulate);
    b += kVectors * kLanes;
    c += kVectors * kLanes;
  }
  if (vectors == 3) {
    micro_product<3>(a, b, b_stride, c, c_stride, depth, accumulate);
  } else if (vectors == 2) {
    micro_product<2>(a, b, b_stride, c, c_stride, depth, accumulate);
  } else if (vectors == 1) {
    micro_product<1>(a, b, b_stride, c, c_stride, depth, accumulate);
  }
}

template <class T>
void pack_rows(Rows<const T> from, std::int64_t rows, std::int64_t cols, float* to, std::int64_t padded_rows,
               std::int64_t padded_cols) {
  for (std::int64_t i = 0; i < rows; ++i, to += padded_cols) {
    const T* row = from.row(i);
    std::int64_t col = 0;
    for (; col + kLanes <= cols; col += kLanes) {
      store(load(row + col), to + col);
    }
    for (; col < cols; ++col) {
      to[col] = to_float(row[col]);
    }
    std::fill(to + cols, to + padded_cols, 0.0F);
  }
  std::fill(to, to + (padded_rows - rows) * padded_cols, 0.0F);
}

template <class T>
void pack_transposed_panels(Rows<const T> from, std::int64_t rows, std::int64_t cols, float* to) {
  for (std::int64_t first = 0; first < rows; first += kPanelCols, to += cols * kPanelCols) {
    const std::int64_t count = std::min(kPanelCols, rows - first);
    if (count < kPanelCols) {
      std::fill(to, to + cols * kPanelCols, 0.0F);
    }
    const std::int64_t squares = count / kSquare * kSquare;
    const std::int64_t square_cols = cols / kSquare * kSquare;
    for (std::int64_t i = 0; i < squares; i += kSquare) {
      for (std::int64_t col = 0; col < square_cols; col += kSquare) {
        transpose_square(from.row(first + i) + col, from.stride, to + col * kPanelCols + i, kPanelCols);
      }
    }
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::int64_t col = i < squares ? square_cols : 0; col < cols; ++col) {
        to[col * kPanelCols + i] = to_float(from.row(first + i)[col]);
      }
    }
  }
}

template <class T>
void store_row(const float* from, float factor, std::int64_t cols, T* to) {
  std::int64_t col = 0;
  for (; col + kLanes <= cols; col += kLanes) {
    store(hn::Mul(load(from + col), splat(factor)), to + col);
  }
  if (col < cols) {
    VectorBuffer<T> last;
    store(hn::Mul(load(from + col), splat(factor)), last.data());
    std::memcpy(to + col, last.data(), static_cast<std::size_t>(cols - col) * sizeof(T));
  }
}

template <class T>
float dot(const T* a, const T* b, std::int64_t count) {
  FloatVector sums = hn::Zero(kFloats);
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    sums = hn::MulAdd(load(a + i), load(b + i), sums);
  }
  float sum = sum_of_lanes(sums);
  for (; i < count; ++i) {
    sum += to_float(a[i]) * to_float(b[i]);
  }
  return sum;
}

template void pack_rows(Rows<const float>, std::int64_t, std::int64_t, float*, std::int64_t, std::int64_t);
template void pack_rows(Rows<const bf16>, std::int64_t, std::int64_t, float*, std::int64_t, std::int64_t);
template void pack_transposed_panels(Rows<const float>, std::int64_t, std::int64_t, float*);
template void pack_transposed_panels(Rows<const bf16>, std::int64_t, std::int64_t, float*);
template void store_row(const float*, float, std::int64_t, float*);
template void store_row(const float*, float, std::int64_t, bf16*);
template float dot(const float*, const float*, std::int64_t);
template float dot(const bf16*, const bf16*, std::int64_t);

}  // namespace retape::nn::cpu::attention
