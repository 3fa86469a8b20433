#include "nn/kernels/cpu/attention_amx_pack.h"

#include <algorithm>

#include "nn/kernels/cpu/attention_simd.h"

namespace retape::nn::cpu::attention {

void stage_rows(Rows<const bf16> from, std::int64_t first, std::int64_t rows, std::int64_t cols, bf16* to,
                std::int64_t padded_cols) {
  const std::int64_t end = std::min(first + kAmxBlock, rows);
  bf16* const to_end = to + kAmxBlock * padded_cols;
  for (std::int64_t row = first; row < end; ++row, to += padded_cols) {
    std::int64_t col = 0;
    for (; col + kLanes <= cols; col += kLanes) {
      store(load_halves(from.row(row) + col), to + col);
    }
    std::copy(from.row(row) + col, from.row(row) + cols, to + col);
    std::fill(to + cols, to + padded_cols, bf16{});
  }
  std::fill(to, to_end, bf16{});
}

void pair_rows(const bf16* stage, std::int64_t cols, bf16* to) {
  for (std::int64_t row = 0; row < kAmxBlock; row += 2, stage += 2 * cols) {
    for (std::int64_t col = 0; col < cols; col += kLanes, to += 2 * kLanes) {
      store_pairs(load_halves(stage + col), load_halves(stage + cols + col), to);
    }
  }
}

void pair_columns(const bf16* stage, std::int64_t cols, bf16* to) {
  // A pair of neighbouring columns is one 32-bit word.
  for (std::int64_t row = 0; row < kAmxBlock; row += kSquare) {
    for (std::int64_t col = 0; col < cols; col += 2 * kSquare) {
      transpose_square(reinterpret_cast<const std::uint32_t*>(stage + row * cols + col), cols / 2,
                       reinterpret_cast<std::uint32_t*>(to + col * kAmxBlock + 2 * row), kAmxBlock);
    }
  }
}

void split_pairs(const bf16* pairs, std::int64_t cols, bf16* to, std::int64_t stride) {
  for (std::int64_t col = 0; col < cols; col += 2, pairs += 2 * kAmxBlock, to += 2 * stride) {
    for (std::int64_t row = 0; row < kAmxBlock; row += kLanes) {
      const BitVector both = hn::LoadU(kBits, reinterpret_cast<const std::uint32_t*>(pairs + 2 * row));
      store(hn::TruncateTo(kHalves, both), to + row);
      store(hn::TruncateTo(kHalves, hn::ShiftRight<16>(both)), to + stride + row);
    }
  }
}

void transpose_columns(const float* from, std::int64_t stride, std::int64_t rows, float* to) {
  for (std::int64_t row = 0; row < rows; row += kSquare) {
    for (std::int64_t col = 0; col < kAmxBlock; col += kSquare) {
      transpose_square(from + row * stride + col, stride, to + col * rows + row, rows);
    }
  }
}

}  // namespace retape::nn::cpu::attention
