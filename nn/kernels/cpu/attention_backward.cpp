// Attention backward in f32, a head at a time: for each tile of queries and keys the probabilities are computed again
// from the log of the row sums, and everything that the tile adds to dq, dk and dv is added at once.
//
//   p = exp(scale q k' - lse)    with dropout m (0 or 1 / (1 - p)):
//   dv += (p m)' dout            dp = (dout v') m
//   ds = p (dp - delta)          delta = rowsum(dout out), which is rowsum(p dp)
//   dq += scale ds k             dk += scale ds' q
#include <algorithm>

#include "nn/kernels/cpu/attention_dropout.h"
#include "nn/kernels/cpu/attention_head.h"
#include "nn/kernels/cpu/attention_simd.h"

namespace retape::nn::cpu::attention::portable {

namespace {

constexpr std::int64_t kTile = kPanelCols;

struct BackwardScratch {
  BackwardScratch(const AttentionShape& shape, Scratch scratch)
      : padded_dim(round_up(shape.head_dim, kLanes)),
        padded_keys(round_up(shape.seq_len, kTile)),
        keys_t(scratch.take<float>(shape.head_dim * padded_keys)),
        values_t(scratch.take<float>(shape.head_dim * padded_keys)),
        keys(scratch.take<float>(padded_keys * padded_dim)),
        dkeys(scratch.take<float>(padded_keys * padded_dim)),
        dvalues(scratch.take<float>(padded_keys * padded_dim)),
        queries(scratch.take<float>(kTile * padded_dim)),
        dqueries(scratch.take<float>(kTile * padded_dim)),
        dout(scratch.take<float>(kTile * padded_dim)),
        delta(scratch.take<float>(kTile)),
        p(scratch.take<float>(kTile * kTile)),
        ds(scratch.take<float>(kTile * kTile)),
        random(scratch.take<std::uint32_t>(shape.dropout > 0 ? Dropout::buffer_elems(kTile) : 0)),
        bytes(scratch.used_bytes()) {}

  std::int64_t padded_dim;
  std::int64_t padded_keys;
  // Of the whole head.
  float* keys_t;    // transposed panels [padded_keys / kTile, head_dim, kTile]
  float* values_t;  // the same
  float* keys;      // [padded_keys, padded_dim]
  float* dkeys;     // [padded_keys, padded_dim]
  float* dvalues;   // [padded_keys, padded_dim]
  // Of a block of queries.
  float* queries;   // [kTile, padded_dim]
  float* dqueries;  // [kTile, padded_dim]
  float* dout;      // [kTile, padded_dim]
  float* delta;     // [kTile]
  // Of a tile: rows are queries.
  float* p;   // [kTile, kTile] scores, then probabilities
  float* ds;  // [kTile, kTile] dp, then ds
  std::uint32_t* random;
  Bytes bytes;
};

struct Tile {
  std::int64_t first_query;
  std::int64_t first_key;
  std::int64_t rows;
  std::int64_t keys;

  bool diagonal() const { return first_query == first_key; }
  // The keys that a strip of queries may see.
  std::int64_t visible(std::int64_t row) const { return diagonal() ? std::min(row + kStripRows, kTile) : kTile; }
};

void score_products(const Tile& tile, std::int64_t head_dim, const BackwardScratch& s) {
  const std::int64_t panel = tile.first_key * head_dim;
  for (std::int64_t row = 0; row < tile.rows; row += kStripRows) {
    strip_product({s.queries + row * s.padded_dim, s.padded_dim, 1}, s.keys_t + panel, kTile, s.p + row * kTile, kTile,
                  tile.visible(row), head_dim, false);
  }
  for (std::int64_t row = 0; row < tile.rows; row += kStripRows) {
    strip_product({s.dout + row * s.padded_dim, s.padded_dim, 1}, s.values_t + panel, kTile, s.ds + row * kTile, kTile,
                  tile.visible(row), head_dim, false);
  }
}

struct RowStatistics {
  FloatVector lse;
  FloatVector delta;
  FloatVector scale;
};

template <bool with_dropout>
HWY_INLINE void differentiate(const RowStatistics& row, const Dropout& dropout, const std::uint32_t* bits,
                              hn::Mask<Floats> seen, float* p_at, float* ds_at) {
  const FloatVector p = hn::IfThenElseZero(seen, exp_score<float>(hn::MulSub(load(p_at), row.scale, row.lse)));
  FloatVector dp = load(ds_at);
  FloatVector dropped = p;
  if constexpr (with_dropout) {
    dp = dropout.apply(dp, bits);
    dropped = dropout.apply(p, bits);
  }
  const FloatVector ds = hn::Mul(p, hn::Sub(dp, row.delta));
  store(dropped, p_at);
  store(hn::IfThenElseZero(seen, ds), ds_at);
}

// Scores become probabilities and dp becomes ds in one row; what the query may not see becomes zero, up to the end of
// the keys its strip sees.
template <bool with_dropout>
void differentiate_row(const Tile& tile, std::int64_t row, const RowStatistics& statistics, const Dropout& dropout,
                       Elems first_element, const BackwardScratch& s) {
  const std::uint32_t* bits = s.random;
  if constexpr (with_dropout) {
    bits = dropout.draw(first_element, kTile, s.random);
  }
  float* p = s.p + row * kTile;
  float* ds = s.ds + row * kTile;
  const std::int64_t seen = tile.diagonal() ? row + 1 : kTile;
  for (std::int64_t key = 0; key < tile.visible(row / kStripRows * kStripRows); key += kLanes) {
    const auto lanes = static_cast<std::size_t>(std::clamp<std::int64_t>(seen - key, 0, kLanes));
    differentiate<with_dropout>(statistics, dropout, bits + key, hn::FirstN(kFloats, lanes), p + key, ds + key);
  }
}

void gradient_products(const Tile& tile, const BackwardScratch& s) {
  float* dvalues = s.dvalues + tile.first_key * s.padded_dim;
  float* dkeys = s.dkeys + tile.first_key * s.padded_dim;
  for (std::int64_t row = 0; row < tile.rows; row += kStripRows) {
    strip_product({s.ds + row * kTile, kTile, 1}, s.keys + tile.first_key * s.padded_dim, s.padded_dim,
                  s.dqueries + row * s.padded_dim, s.padded_dim, s.padded_dim, tile.visible(row), tile.first_key > 0);
  }
  // Here strips are of keys. Queries before a strip's first key do not see it; the first to meet a key is in the
  // diagonal tile.
  for (std::int64_t key = 0; key < tile.keys; key += kStripRows) {
    const std::int64_t first = tile.diagonal() ? key : 0;
    strip_product({s.p + first * kTile + key, 1, kTile}, s.dout + first * s.padded_dim, s.padded_dim,
                  dvalues + key * s.padded_dim, s.padded_dim, s.padded_dim, tile.rows - first, !tile.diagonal());
  }
  for (std::int64_t key = 0; key < tile.keys; key += kStripRows) {
    const std::int64_t first = tile.diagonal() ? key : 0;
    strip_product({s.ds + first * kTile + key, 1, kTile}, s.queries + first * s.padded_dim, s.padded_dim,
                  dkeys + key * s.padded_dim, s.padded_dim, s.padded_dim, tile.rows - first, !tile.diagonal());
  }
}

// One block of queries against all keys that it sees.
template <class T, bool with_dropout>
void backward_block(const AttentionBackward& kernel, Head head, QueryRange block, const BackwardScratch& s) {
  const AttentionShape& shape = kernel.shape;
  const Dropout dropout(shape);
  const std::int64_t rows = block.end - block.begin;
  const auto queries = head.rows(shape, static_cast<const T*>(kernel.qkv), 3, 0);
  const auto out = head.rows(shape, static_cast<const T*>(kernel.out), 1, 0);
  const auto dout = head.rows(shape, static_cast<const T*>(kernel.dout), 1, 0);
  pack_rows<T>({queries.row(block.begin), queries.stride}, rows, shape.head_dim, s.queries, kTile, s.padded_dim);
  pack_rows<T>({dout.row(block.begin), dout.stride}, rows, shape.head_dim, s.dout, kTile, s.padded_dim);
  for (std::int64_t row = 0; row < rows; ++row) {
    s.delta[row] = dot(dout.row(block.begin + row), out.row(block.begin + row), shape.head_dim);
  }
  for (std::int64_t key = 0; key < block.end; key += kTile) {
    const Tile tile{block.begin, key, rows, std::min(kTile, shape.seq_len - key)};
    score_products(tile, shape.head_dim, s);
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t index = head.index(shape) * shape.seq_len + block.begin + row;
      const RowStatistics statistics{splat(kernel.lse[index]), splat(s.delta[row]), splat(shape.scale)};
      differentiate_row<with_dropout>(tile, row, statistics, dropout, index * shape.seq_len + key, s);
    }
    gradient_products(tile, s);
  }
  const auto dqueries = head.rows(shape, static_cast<T*>(kernel.dqkv), 3, 0);
  for (std::int64_t row = 0; row < rows; ++row) {
    store_row(s.dqueries + row * s.padded_dim, shape.scale, shape.head_dim, dqueries.row(block.begin + row));
  }
}

template <class T>
void backward_head(const AttentionBackward& kernel, Head head, void* memory) {
  const AttentionShape& shape = kernel.shape;
  const BackwardScratch scratch(shape, Scratch(memory));
  const auto keys = head.rows(shape, static_cast<const T*>(kernel.qkv), 3, 1);
  const auto values = head.rows(shape, static_cast<const T*>(kernel.qkv), 3, 2);
  pack_transposed_panels(keys, shape.seq_len, shape.head_dim, scratch.keys_t);
  pack_transposed_panels(values, shape.seq_len, shape.head_dim, scratch.values_t);
  pack_rows(keys, shape.seq_len, shape.head_dim, scratch.keys, scratch.padded_keys, scratch.padded_dim);
  const bool with_dropout = Dropout(shape).active();
  for (std::int64_t query = 0; query < shape.seq_len; query += kTile) {
    const QueryRange block{query, std::min(query + kTile, shape.seq_len)};
    if (with_dropout) {
      backward_block<T, true>(kernel, head, block, scratch);
    } else {
      backward_block<T, false>(kernel, head, block, scratch);
    }
  }
  const auto dkeys = head.rows(shape, static_cast<T*>(kernel.dqkv), 3, 1);
  const auto dvalues = head.rows(shape, static_cast<T*>(kernel.dqkv), 3, 2);
  for (std::int64_t key = 0; key < shape.seq_len; ++key) {
    store_row(scratch.dkeys + key * scratch.padded_dim, shape.scale, shape.head_dim, dkeys.row(key));
    store_row(scratch.dvalues + key * scratch.padded_dim, 1, shape.head_dim, dvalues.row(key));
  }
}

}  // namespace

Bytes scratch_bytes(const AttentionBackward& kernel) {
  return BackwardScratch(kernel.shape, Scratch(nullptr)).bytes;
}

void backward(const AttentionBackward& kernel, Head head, void* scratch) {
  if (kernel.shape.dtype == DType::bf16) {
    backward_head<bf16>(kernel, head, scratch);
  } else {
    backward_head<float>(kernel, head, scratch);
  }
}

}  // namespace retape::nn::cpu::attention::portable
