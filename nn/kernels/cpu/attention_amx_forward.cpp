// Attention forward in bf16 on tile registers. The plan is that of the f32 kernel: a block of queries meets all keys it
// may see at once, and the rows of their strip of scores get an ordinary softmax.
#include <algorithm>
#include <cmath>

#include "nn/kernels/cpu/attention_amx_pack.h"
#include "nn/kernels/cpu/attention_dropout.h"
#include "nn/kernels/cpu/attention_head.h"
#include "nn/kernels/cpu/attention_simd.h"
#include "nn/kernels/cpu/attention_softmax.h"

namespace retape::nn::cpu::attention::amx {

namespace {

struct ForwardScratch {
  ForwardScratch(const AttentionShape& shape, Scratch scratch)
      : dim(round_up(shape.head_dim, kAmxBlock)),
        padded_keys(round_up(shape.seq_len, kAmxBlock)),
        score_stride(padded_keys + kLanes),
        p_stride(padded_keys + kAmxBlock),
        stage(scratch.take<bf16>(kAmxBlock * dim)),
        keys(scratch.take<bf16>(padded_keys * dim)),
        values(scratch.take<bf16>(padded_keys * dim)),
        scores(scratch.take<float>(kAmxBlock * score_stride)),
        p(scratch.take<bf16>(kAmxBlock * p_stride)),
        sums(scratch.take<float>(kAmxBlock)),
        out(scratch.take<float>(kAmxBlock * dim)),
        random(scratch.take<std::uint32_t>(shape.dropout > 0 ? Dropout::buffer_elems(padded_keys) : 0)),
        bytes(scratch.used_bytes()) {}

  std::int64_t dim;
  std::int64_t padded_keys;
  // A little more than a power of two, so that the rows of a tile do not all fall into one set of the cache.
  std::int64_t score_stride;
  std::int64_t p_stride;
  bf16* stage;    // [kAmxBlock, dim]
  bf16* keys;     // pairs of columns of each block, [padded_keys / kAmxBlock, dim / 2, kAmxBlock, 2]
  bf16* values;   // pairs of rows, [padded_keys / 2, dim, 2]
  float* scores;  // [kAmxBlock, score_stride]
  bf16* p;        // [kAmxBlock, p_stride] exp(scores - maximum)
  float* sums;    // [kAmxBlock]
  float* out;     // [kAmxBlock, dim]
  std::uint32_t* random;
  Bytes bytes;
};

// The kAmxBlock queries from `first` on, whose keys and values are in scratch.
template <bool with_dropout>
void forward_block(const AttentionForward& kernel, Head head, std::int64_t first, const ForwardScratch& s) {
  const AttentionShape& shape = kernel.shape;
  const Dropout dropout(shape);
  const std::int64_t rows = std::min(kAmxBlock, shape.seq_len - first);
  const std::int64_t end = first + kAmxBlock;
  stage_rows(head.rows(shape, static_cast<const bf16*>(kernel.qkv), 3, 0), first, shape.seq_len, shape.head_dim,
             s.stage, s.dim);
  for (std::int64_t key = 0; key < end; key += kAmxBlock) {
    amx_product({s.stage, s.dim}, {s.keys + key * s.dim, 2 * kAmxBlock}, s.scores + key, s.score_stride, kAmxBlock,
                kAmxBlock, s.dim, false);
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t seen = first + row + 1;
    const std::int64_t index = head.index(shape) * shape.seq_len + first + row;
    const std::uint32_t* bits = with_dropout ? dropout.draw(index * shape.seq_len, seen, s.random) : nullptr;
    const RowSum softmax = exponentiate<with_dropout>(s.scores + row * s.score_stride, seen, end, shape.scale, dropout,
                                                      bits, s.p + row * s.p_stride);
    kernel.lse[index] = softmax.maximum;
    s.sums[row] = softmax.sum;
  }
  amx_product({s.p, s.p_stride}, {s.values, 2 * s.dim}, s.out, s.dim, kAmxBlock, s.dim, end, false);
  const auto out = head.rows(shape, static_cast<bf16*>(kernel.out), 1, 0);
  float* lse = kernel.lse + head.index(shape) * shape.seq_len + first;
  for (std::int64_t row = 0; row < rows; ++row) {
    lse[row] += std::log(s.sums[row]);
    store_row(s.out + row * s.dim, 1 / s.sums[row], shape.head_dim, out.row(first + row));
  }
}

}  // namespace

Bytes scratch_bytes(const AttentionForward& kernel) {
  return ForwardScratch(kernel.shape, Scratch(nullptr)).bytes;
}

void forward(const AttentionForward& kernel, Head head, QueryRange queries, void* memory) {
  const AttentionShape& shape = kernel.shape;
  const ForwardScratch s(shape, Scratch(memory));
  const auto keys = head.rows(shape, static_cast<const bf16*>(kernel.qkv), 3, 1);
  const auto values = head.rows(shape, static_cast<const bf16*>(kernel.qkv), 3, 2);
  for (std::int64_t key = 0; key < queries.end; key += kAmxBlock) {
    stage_rows(keys, key, shape.seq_len, shape.head_dim, s.stage, s.dim);
    pair_columns(s.stage, s.dim, s.keys + key * s.dim);
    stage_rows(values, key, shape.seq_len, shape.head_dim, s.stage, s.dim);
    pair_rows(s.stage, s.dim, s.values + key * s.dim);
  }
  const bool with_dropout = Dropout(shape).active();
  for (std::int64_t query = queries.begin; query < queries.end; query += kAmxBlock) {
    if (with_dropout) {
      forward_block<true>(kernel, head, query, s);
    } else {
      forward_block<false>(kernel, head, query, s);
    }
  }
}

}  // namespace retape::nn::cpu::attention::amx
