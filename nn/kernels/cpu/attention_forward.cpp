// Attention forward in f32. A block of queries meets all keys it may see at once: their scores are a strip
// [kQueryRows, T], whose rows get an ordinary softmax, so that nothing is rescaled afterwards.
#include <algorithm>
#include <cmath>

#include "nn/kernels/cpu/attention_dropout.h"
#include "nn/kernels/cpu/attention_head.h"
#include "nn/kernels/cpu/attention_simd.h"
#include "nn/kernels/cpu/attention_softmax.h"

namespace retape::nn::cpu::attention::portable {

namespace {

constexpr std::int64_t kQueryRows = 32;

struct ForwardScratch {
  ForwardScratch(const AttentionShape& shape, Scratch scratch)
      : padded_dim(round_up(shape.head_dim, kLanes)),
        padded_keys(round_up(shape.seq_len, kPanelCols)),
        queries(scratch.take<float>(kQueryRows * padded_dim)),
        keys(scratch.take<float>(shape.head_dim * padded_keys)),
        values(scratch.take<float>(shape.seq_len * padded_dim)),
        scores(scratch.take<float>(kQueryRows * padded_keys)),
        sums(scratch.take<float>(kQueryRows)),
        out(scratch.take<float>(kQueryRows * padded_dim)),
        random(scratch.take<std::uint32_t>(shape.dropout > 0 ? Dropout::buffer_elems(padded_keys) : 0)),
        bytes(scratch.used_bytes()) {}

  std::int64_t padded_dim;
  std::int64_t padded_keys;
  float* queries;  // [kQueryRows, padded_dim]
  float* keys;     // transposed panels [padded_keys / kPanelCols, head_dim, kPanelCols]
  float* values;   // [seq_len, padded_dim]
  float* scores;   // [kQueryRows, padded_keys], later the probabilities
  float* sums;     // [kQueryRows] of the rows of exp(scores - maximum)
  float* out;      // [kQueryRows, padded_dim]
  std::uint32_t* random;
  Bytes bytes;
};

// The queries [begin, end), at most kQueryRows, whose keys and values are in scratch.
template <class T, bool with_dropout>
void forward_block(const AttentionForward& kernel, Head head, QueryRange block, const ForwardScratch& s) {
  const AttentionShape& shape = kernel.shape;
  const Dropout dropout(shape);
  const std::int64_t rows = block.end - block.begin;
  // The keys that a strip of queries may see: those up to its last query.
  const auto visible = [&](std::int64_t row, std::int64_t first_key) {
    return std::min(kPanelCols, block.begin + row + kStripRows - first_key);
  };
  const auto queries = head.rows(shape, static_cast<const T*>(kernel.qkv), 3, 0);
  pack_rows<T>({queries.row(block.begin), queries.stride}, rows, shape.head_dim, s.queries, kQueryRows, s.padded_dim);

  for (std::int64_t key = 0; key < block.end; key += kPanelCols) {
    for (std::int64_t row = 0; row < rows; row += kStripRows) {
      if (visible(row, key) > 0) {
        strip_product({s.queries + row * s.padded_dim, s.padded_dim, 1}, s.keys + key * shape.head_dim, kPanelCols,
                      s.scores + row * s.padded_keys + key, s.padded_keys, visible(row, key), shape.head_dim, false);
      }
    }
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t seen = block.begin + row + 1;
    const std::int64_t index = head.index(shape) * shape.seq_len + block.begin + row;
    const std::uint32_t* bits = with_dropout ? dropout.draw(index * shape.seq_len, seen, s.random) : nullptr;
    float* scores = s.scores + row * s.padded_keys;
    // Zero what the row's strip sees beyond it.
    const std::int64_t end = block.begin + round_up(row + 1, kStripRows);
    const RowSum softmax = exponentiate<with_dropout>(scores, seen, end, shape.scale, dropout, bits, scores);
    kernel.lse[index] = softmax.maximum;
    s.sums[row] = softmax.sum;
  }
  for (std::int64_t key = 0; key < block.end; key += kPanelCols) {
    for (std::int64_t row = 0; row < rows; row += kStripRows) {
      const std::int64_t depth = std::min(visible(row, key), shape.seq_len - key);
      if (depth > 0) {
        strip_product({s.scores + row * s.padded_keys + key, s.padded_keys, 1}, s.values + key * s.padded_dim,
                      s.padded_dim, s.out + row * s.padded_dim, s.padded_dim, s.padded_dim, depth, key > 0);
      }
    }
  }
  const auto out = head.rows(shape, static_cast<T*>(kernel.out), 1, 0);
  float* lse = kernel.lse + head.index(shape) * shape.seq_len + block.begin;
  for (std::int64_t row = 0; row < rows; ++row) {
    lse[row] += std::log(s.sums[row]);
    store_row(s.out + row * s.padded_dim, 1 / s.sums[row], shape.head_dim, out.row(block.begin + row));
  }
}

template <class T>
void forward_queries(const AttentionForward& kernel, Head head, QueryRange queries, void* memory) {
  const AttentionShape& shape = kernel.shape;
  const ForwardScratch scratch(shape, Scratch(memory));
  const auto* qkv = static_cast<const T*>(kernel.qkv);
  pack_transposed_panels(head.rows(shape, qkv, 3, 1), queries.end, shape.head_dim, scratch.keys);
  pack_rows(head.rows(shape, qkv, 3, 2), queries.end, shape.head_dim, scratch.values, queries.end, scratch.padded_dim);
  const bool with_dropout = Dropout(shape).active();
  for (std::int64_t query = queries.begin; query < queries.end; query += kQueryRows) {
    const QueryRange block{query, std::min(query + kQueryRows, queries.end)};
    if (with_dropout) {
      forward_block<T, true>(kernel, head, block, scratch);
    } else {
      forward_block<T, false>(kernel, head, block, scratch);
    }
  }
}

}  // namespace

Bytes scratch_bytes(const AttentionForward& kernel) {
  return ForwardScratch(kernel.shape, Scratch(nullptr)).bytes;
}

void forward(const AttentionForward& kernel, Head head, QueryRange queries, void* scratch) {
  if (kernel.shape.dtype == DType::bf16) {
    forward_queries<bf16>(kernel, head, queries, scratch);
  } else {
    forward_queries<float>(kernel, head, queries, scratch);
  }
}

}  // namespace retape::nn::cpu::attention::portable
