// What the attention kernels share: the rows of one head in the arrays of a whole layer, and scratch memory.
#pragma once

#include <cstdint>

#include "nn/kernels/attention.h"
#include "nn/kernels/cpu/attention_product.h"

namespace retape::nn::cpu {
class Machine;
}

namespace retape::nn::cpu::attention {

// Where head `head` of batch `batch` is. Rows are those of the sequence.
struct Head {
  std::int64_t batch;
  std::int64_t head;

  // In an array [B, T, parts, H, D].
  template <class T>
  Rows<T> rows(const AttentionShape& shape, T* data, std::int64_t parts, std::int64_t part) const {
    const std::int64_t stride = parts * shape.heads * shape.head_dim;
    return {data + batch * shape.seq_len * stride + (part * shape.heads + head) * shape.head_dim, stride};
  }
  // Its index among all heads: row of [B, H, ...].
  std::int64_t index(const AttentionShape& shape) const { return batch * shape.heads + head; }
};

// Lays arrays one after the other in a block of memory, each at the start of a cache line; without a block it only
// counts.
class Scratch {
 public:
  explicit Scratch(void* base) : base_(static_cast<char*>(base)) {}

  template <class T>
  T* take(std::int64_t count) {
    T* array = base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + used_bytes_);
    used_bytes_ += round_up(count * static_cast<Bytes>(sizeof(T)), kCacheLine);
    return array;
  }
  Bytes used_bytes() const { return used_bytes_; }

 private:
  static constexpr Bytes kCacheLine = 64;
  char* base_;
  Bytes used_bytes_ = 0;
};

// Queries of one head. What they need of its keys ends where they end.
struct QueryRange {
  std::int64_t begin;
  std::int64_t end;
};

// In f32 arithmetic, for tensors of either dtype, on any processor.
namespace portable {
Bytes scratch_bytes(const AttentionForward& kernel);
void forward(const AttentionForward& kernel, Head head, QueryRange queries, void* scratch);
Bytes scratch_bytes(const AttentionBackward& kernel);
void backward(const AttentionBackward& kernel, Head head, void* scratch);
}  // namespace portable

// For tensors of bf16 on processors with AMX: products of bf16, summed in f32. Probabilities and the gradients of
// scores are rounded to bf16 before they are multiplied. A thread must hold AmxTiles around these.
namespace amx {
Bytes scratch_bytes(const AttentionForward& kernel);
void forward(const AttentionForward& kernel, Head head, QueryRange queries, void* scratch);
Bytes scratch_bytes(const AttentionBackward& kernel);
void backward(const AttentionBackward& kernel, Head head, void* scratch);
}  // namespace amx

}  // namespace retape::nn::cpu::attention
