// Attention backward in bf16 on tile registers, a head at a time. The sums are those of attention_backward.cpp, in an
// order that suits the tiles: a strip of keys meets all queries that see it, with scores and their gradients transposed
// (rows are keys), so that they are left operands as they stand:
//
//   p' = exp(scale k q' - lse)   dp' = v dout'      ds' = p' (dp' - delta)
//   dv = p' dout                 dk = scale ds' q   dq' += scale k' ds'
//
// dv and dk of a strip are one product each, over all its queries; dq' takes one product from each strip.
#include <algorithm>

#include "nn/kernels/cpu/attention_amx_pack.h"
#include "nn/kernels/cpu/attention_dropout.h"
#include "nn/kernels/cpu/attention_head.h"
#include "nn/kernels/cpu/attention_simd.h"

namespace retape::nn::cpu::attention::amx {

namespace {

constexpr std::int64_t kStripKeys = 2 * kAmxBlock;
static_assert(Dropout::kWordBits == kAmxBlock);

struct BackwardScratch {
  BackwardScratch(const AttentionShape& shape, Scratch scratch)
      : dim(round_up(shape.head_dim, kAmxBlock)),
        padded_queries(round_up(shape.seq_len, kAmxBlock)),
        dqueries_stride(padded_queries + kLanes),
        strip_stride(padded_queries + kAmxBlock),
        queries_t(scratch.take<bf16>(padded_queries * dim)),
        douts_t(scratch.take<bf16>(padded_queries * dim)),
        queries(scratch.take<bf16>(padded_queries * dim)),
        douts(scratch.take<bf16>(padded_queries * dim)),
        lse(scratch.take<float>(padded_queries)),
        delta(scratch.take<float>(padded_queries)),
        dqueries_t(scratch.take<float>(dim * dqueries_stride)),
        stage(scratch.take<bf16>(kAmxBlock * dim)),
        pairs(scratch.take<bf16>(kAmxBlock * dim)),
        keys(scratch.take<bf16>(kStripKeys * dim)),
        keys_t(scratch.take<bf16>(dim * kStripKeys)),
        values(scratch.take<bf16>(kStripKeys * dim)),
        p(scratch.take<bf16>(kStripKeys * strip_stride)),
        ds(scratch.take<bf16>(kStripKeys * strip_stride)),
        gradients(scratch.take<float>(kAmxBlock * dim)),
        scores(scratch.take<float>(kStripKeys * kAmxBlock)),
        dp(scratch.take<float>(kStripKeys * kAmxBlock)),
        ds_pairs(scratch.take<bf16>(kStripKeys * kAmxBlock)),
        kept(scratch.take<std::uint32_t>(kStripKeys)),
        random(scratch.take<std::uint32_t>(Dropout::buffer_elems(Dropout::kWordBits))),
        bytes(scratch.used_bytes()) {}

  std::int64_t dim;
  std::int64_t padded_queries;
  // A little more than a power of two, so that the rows of a tile do not all fall into one set of the cache.
  std::int64_t dqueries_stride;
  std::int64_t strip_stride;
  // Of the whole head.
  bf16* queries_t;    // pairs of columns of each block, [padded_queries / kAmxBlock, dim / 2, kAmxBlock, 2]
  bf16* douts_t;      // the same
  bf16* queries;      // pairs of rows, [padded_queries / 2, dim, 2]
  bf16* douts;        // the same
  float* lse;         // [padded_queries]
  float* delta;       // [padded_queries]
  float* dqueries_t;  // [dim, dqueries_stride]
  bf16* stage;        // [kAmxBlock, dim]
  bf16* pairs;        // the pairs of columns of the stage
  // Of a strip of keys.
  bf16* keys;        // [kStripKeys, dim]
  bf16* keys_t;      // [dim, kStripKeys]
  bf16* values;      // [kStripKeys, dim]
  bf16* p;           // [kStripKeys, strip_stride], after dropout
  bf16* ds;          // [kStripKeys, strip_stride]
  float* gradients;  // [kAmxBlock, dim], on their way out
  // Of a strip's keys and a block of queries.
  float* scores;        // [kStripKeys, kAmxBlock]
  float* dp;            // [kStripKeys, kAmxBlock]
  bf16* ds_pairs;       // pairs of rows, [kStripKeys / 2, kAmxBlock, 2]
  std::uint32_t* kept;  // for each block of keys and each query, a bit for each key
  std::uint32_t* random;
  Bytes bytes;
};

// A query that is not there sees nothing: exp(score - kNothing) is 0.
constexpr float kNothing = 1e30F;

void pack_queries(const AttentionBackward& kernel, Head head, const BackwardScratch& s) {
  const AttentionShape& shape = kernel.shape;
  const auto queries = head.rows(shape, static_cast<const bf16*>(kernel.qkv), 3, 0);
  const auto out = head.rows(shape, static_cast<const bf16*>(kernel.out), 1, 0);
  const auto dout = head.rows(shape, static_cast<const bf16*>(kernel.dout), 1, 0);
  for (std::int64_t query = 0; query < s.padded_queries; query += kAmxBlock) {
    stage_rows(queries, query, shape.seq_len, shape.head_dim, s.stage, s.dim);
    pair_columns(s.stage, s.dim, s.queries_t + query * s.dim);
    pair_rows(s.stage, s.dim, s.queries + query * s.dim);
    stage_rows(dout, query, shape.seq_len, shape.head_dim, s.stage, s.dim);
    pair_columns(s.stage, s.dim, s.douts_t + query * s.dim);
    pair_rows(s.stage, s.dim, s.douts + query * s.dim);
  }
  for (std::int64_t query = 0; query < shape.seq_len; ++query) {
    s.lse[query] = kernel.lse[head.index(shape) * shape.seq_len + query];
    s.delta[query] = dot(dout.row(query), out.row(query), shape.head_dim);
  }
  std::fill(s.lse + shape.seq_len, s.lse + s.padded_queries, kNothing);
  std::fill(s.delta + shape.seq_len, s.delta + s.padded_queries, 0.0F);
}

void pack_keys(const AttentionBackward& kernel, Head head, std::int64_t first_key, const BackwardScratch& s) {
  const AttentionShape& shape = kernel.shape;
  const auto keys = head.rows(shape, static_cast<const bf16*>(kernel.qkv), 3, 1);
  const auto values = head.rows(shape, static_cast<const bf16*>(kernel.qkv), 3, 2);
  for (std::int64_t row = 0; row < kStripKeys; row += kAmxBlock) {
    stage_rows(keys, first_key + row, shape.seq_len, shape.head_dim, s.keys + row * s.dim, s.dim);
    pair_columns(s.keys + row * s.dim, s.dim, s.pairs);
    split_pairs(s.pairs, s.dim, s.keys_t + row, kStripKeys);
    stage_rows(values, first_key + row, shape.seq_len, shape.head_dim, s.values + row * s.dim, s.dim);
  }
}

// kAmxBlock keys of a strip and kAmxBlock queries.
struct Tile {
  std::int64_t first_key;
  std::int64_t first_query;
  std::int64_t strip_row;  // of the first key
};

struct Gradient {
  HalfVector p;
  HalfVector ds;
};

// One row of a tile, from query `col` on.
template <bool with_dropout, bool diagonal>
HWY_INLINE Gradient differentiate(const Tile& tile, std::int64_t row, std::int64_t col, float scale,
                                  const Dropout& dropout, const BackwardScratch& s) {
  const std::int64_t query = tile.first_query + col;
  const std::int64_t at = (tile.strip_row + row) * kAmxBlock + col;
  FloatVector p = exp_score<bf16>(hn::MulSub(load(s.scores + at), splat(scale), load(s.lse + query)));
  FloatVector dp = load(s.dp + at);
  if constexpr (diagonal) {
    const auto unseen = static_cast<std::size_t>(std::clamp<std::int64_t>(row - col, 0, kLanes));
    p = hn::IfThenZeroElse(hn::FirstN(kFloats, unseen), p);
  }
  FloatVector dropped = p;
  if constexpr (with_dropout) {
    const BitVector kept = hn::LoadU(kBits, s.kept + tile.strip_row + col);
    const auto keep = hn::RebindMask(kFloats, hn::TestBit(kept, hn::Set(kBits, std::uint32_t{1} << row)));
    dp = dropout.apply(dp, keep);
    dropped = dropout.apply(p, keep);
  }
  return {round_to_bf16(dropped), round_to_bf16(hn::Mul(p, hn::Sub(dp, load(s.delta + query))))};
}

// Scores and dp of a tile become p and ds, in rows and ds in pairs of rows too.
template <bool with_dropout, bool diagonal>
void differentiate_tile(const Tile& tile, float scale, const Dropout& dropout, const BackwardScratch& s) {
  for (std::int64_t row = 0; row < kAmxBlock; row += 2) {
    const std::int64_t strip_row = tile.strip_row + row;
    for (std::int64_t col = 0; col < kAmxBlock; col += kLanes) {
      const auto even = differentiate<with_dropout, diagonal>(tile, row, col, scale, dropout, s);
      const auto odd = differentiate<with_dropout, diagonal>(tile, row + 1, col, scale, dropout, s);
      const std::int64_t at = strip_row * s.strip_stride + tile.first_query + col;
      store(even.p, s.p + at);
      store(odd.p, s.p + at + s.strip_stride);
      store(even.ds, s.ds + at);
      store(odd.ds, s.ds + at + s.strip_stride);
      store_pairs(even.ds, odd.ds, s.ds_pairs + strip_row * kAmxBlock + 2 * col);
    }
  }
}

void draw_kept(const AttentionShape& shape, Head head, const Tile& tile, const Dropout& dropout,
               const BackwardScratch& s) {
  for (std::int64_t col = 0; col < kAmxBlock; ++col) {
    const std::int64_t row = head.index(shape) * shape.seq_len + tile.first_query + col;
    s.kept[tile.strip_row + col] = dropout.draw_kept(row * shape.seq_len + tile.first_key, s.random);
  }
}

// A strip of keys, whose packed rows are in scratch, and the kAmxBlock queries from first_query on.
void backward_block(const AttentionShape& shape, Head head, std::int64_t first_key, std::int64_t first_query,
                    const BackwardScratch& s) {
  const Dropout dropout(shape);
  const std::int64_t seen = std::min(kStripKeys, first_query + kAmxBlock - first_key);
  amx_product({s.keys, s.dim}, {s.queries_t + first_query * s.dim, 2 * kAmxBlock}, s.scores, kAmxBlock, seen, kAmxBlock,
              s.dim, false);
  amx_product({s.values, s.dim}, {s.douts_t + first_query * s.dim, 2 * kAmxBlock}, s.dp, kAmxBlock, seen, kAmxBlock,
              s.dim, false);
  for (std::int64_t row = 0; row < seen; row += kAmxBlock) {
    const Tile tile{first_key + row, first_query, row};
    const bool diagonal = tile.first_key == first_query;
    if (dropout.active()) {
      draw_kept(shape, head, tile, dropout, s);
      if (diagonal) {
        differentiate_tile<true, true>(tile, shape.scale, dropout, s);
      } else {
        differentiate_tile<true, false>(tile, shape.scale, dropout, s);
      }
    } else if (diagonal) {
      differentiate_tile<false, true>(tile, shape.scale, dropout, s);
    } else {
      differentiate_tile<false, false>(tile, shape.scale, dropout, s);
    }
  }
  amx_product({s.keys_t, kStripKeys}, {s.ds_pairs, 2 * kAmxBlock}, s.dqueries_t + first_query, s.dqueries_stride, s.dim,
              kAmxBlock, seen, first_key > 0);
}

// dk and dv of the kAmxBlock keys from `first` on, row `strip_row` of the strip: the queries before them do not see
// them.
void store_key_gradients(const AttentionBackward& kernel, Head head, std::int64_t first, std::int64_t strip_row,
                         const BackwardScratch& s) {
  const AttentionShape& shape = kernel.shape;
  const auto dkeys = head.rows(shape, static_cast<bf16*>(kernel.dqkv), 3, 1);
  const auto dvalues = head.rows(shape, static_cast<bf16*>(kernel.dqkv), 3, 2);
  const std::int64_t rows = std::min(kAmxBlock, shape.seq_len - first);
  const std::int64_t at = strip_row * s.strip_stride + first;
  amx_product({s.p + at, s.strip_stride}, {s.douts + first * s.dim, 2 * s.dim}, s.gradients, s.dim, kAmxBlock, s.dim,
              s.padded_queries - first, false);
  for (std::int64_t row = 0; row < rows; ++row) {
    store_row(s.gradients + row * s.dim, 1, shape.head_dim, dvalues.row(first + row));
  }
  amx_product({s.ds + at, s.strip_stride}, {s.queries + first * s.dim, 2 * s.dim}, s.gradients, s.dim, kAmxBlock, s.dim,
              s.padded_queries - first, false);
  for (std::int64_t row = 0; row < rows; ++row) {
    store_row(s.gradients + row * s.dim, shape.scale, shape.head_dim, dkeys.row(first + row));
  }
}

void store_query_gradients(const AttentionBackward& kernel, Head head, const BackwardScratch& s) {
  const AttentionShape& shape = kernel.shape;
  const auto dqueries = head.rows(shape, static_cast<bf16*>(kernel.dqkv), 3, 0);
  for (std::int64_t query = 0; query < shape.seq_len; query += kAmxBlock) {
    transpose_columns(s.dqueries_t + query, s.dqueries_stride, s.dim, s.gradients);
    for (std::int64_t row = 0; row < std::min(kAmxBlock, shape.seq_len - query); ++row) {
      store_row(s.gradients + row * s.dim, shape.scale, shape.head_dim, dqueries.row(query + row));
    }
  }
}

}  // namespace

Bytes scratch_bytes(const AttentionBackward& kernel) {
  return BackwardScratch(kernel.shape, Scratch(nullptr)).bytes;
}

void backward(const AttentionBackward& kernel, Head head, void* memory) {
  const AttentionShape& shape = kernel.shape;
  const BackwardScratch s(shape, Scratch(memory));
  pack_queries(kernel, head, s);
  for (std::int64_t key = 0; key < shape.seq_len; key += kStripKeys) {
    pack_keys(kernel, head, key, s);
    for (std::int64_t query = key; query < shape.seq_len; query += kAmxBlock) {
      backward_block(shape, head, key, query, s);
    }
    for (std::int64_t row = 0; row < kStripKeys && key + row < shape.seq_len; row += kAmxBlock) {
      store_key_gradients(kernel, head, key + row, row, s);
    }
  }
  store_query_gradients(kernel, head, s);
}

}  // namespace retape::nn::cpu::attention::amx
