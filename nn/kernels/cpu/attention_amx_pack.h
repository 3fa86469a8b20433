// How rows of bf16 become operands of amx_product. All work on groups of kAmxBlock rows, which are first copied to a
// stage with zeros around them.
#pragma once

#include <cstdint>

#include "nn/kernels/cpu/amx_gemm.h"
#include "nn/kernels/cpu/attention_product.h"

namespace retape::nn::cpu::attention {

// The group's rows [first, first + kAmxBlock) as [kAmxBlock, padded_cols]. Rows from `rows` on are zero.
void stage_rows(Rows<const bf16> from, std::int64_t first, std::int64_t rows, std::int64_t cols, bf16* to,
                std::int64_t padded_cols);

// The staged group as a right operand [kAmxBlock, cols]: pairs of rows, 2 * cols apart.
void pair_rows(const bf16* stage, std::int64_t cols, bf16* to);

// Its transpose as a right operand [cols, kAmxBlock]: pairs of columns, 2 * kAmxBlock apart.
void pair_columns(const bf16* stage, std::int64_t cols, bf16* to);

// Its transpose as a left operand [cols, kAmxBlock]; `pairs` is what pair_columns made of it.
void split_pairs(const bf16* pairs, std::int64_t cols, bf16* to, std::int64_t stride);

// The transpose of kAmxBlock columns of an f32 matrix, whose rows are `stride` apart: [kAmxBlock, rows].
void transpose_columns(const float* from, std::int64_t stride, std::int64_t rows, float* to);

}  // namespace retape::nn::cpu::attention
