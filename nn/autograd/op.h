// What an op is to the tape.
//
// An op is a struct of static members (see nn/ops/ for examples):
//
//   static constexpr OpTraits kTraits{.name = "layer_norm"};
//   static constexpr std::array<std::string_view, 3> kOutputs{"layer_norm", "mean", "rstd"};
//   struct Args { float eps; };                                   trivially copyable, at most kMaxArgsBytes
//   static Reads reads(const Args&);                              what its backward reads
//   static Outputs forward(Context&, const Args&, const Inputs&);
//   static void backward(Context&, const Args&, const Saved&, Gradients&);
//   static Cost cost(const Args&, std::span<const Shape> inputs);
//   static Elems rng_elems(const Args&, std::span<const Shape> inputs);      where kTraits.uses_rng
//   static constexpr std::array<Rebuild, 1> kRebuilds{...};                   optional, with
//   static Tensor rebuild(Context&, const Args&, int output, const Saved&);
//
// forward is a pure function of its inputs and RNG range: run again it gives the same bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "nn/runtime/context.h"
#include "nn/tensor/tensor.h"

namespace retape::nn {

class Gradients;

struct OpTraits {
  std::string_view name;
  bool uses_rng = false;
  bool collective = false;  // every rank of a group must run it, in the same order
  // What backward reads is never dropped: for ops that compute their gradient in forward.
  bool keep_saved = false;
};

// Sets of an op's inputs and outputs, one bit each.
struct Reads {
  std::uint32_t inputs = 0;
  std::uint32_t outputs = 0;
};

constexpr std::uint32_t bits(std::initializer_list<int> positions) {
  std::uint32_t mask = 0;
  for (const int position : positions) {
    mask |= 1U << position;
  }
  return mask;
}

constexpr bool contains(std::uint32_t mask, std::size_t position) {
  return ((mask >> position) & 1U) != 0;
}

// A way to make one output from some of the op's other values, cheaper than running forward again.
struct Rebuild {
  int output = 0;
  Reads from;
  Flops flops_per_elem = 0;  // of the output
};

struct Cost {
  Flops flops = 0;
  Bytes bytes = 0;  // read and written
};

using Outputs = std::vector<Tensor>;

// Memory for an output, under the tag in force.
inline Tensor make_output(Context& context, const Shape& shape, DType dtype) {
  return {context.device(), shape, dtype, context.output_tag()};
}

struct Inputs {
  std::span<const Tensor> tensors;
  RngRange rng;
  bool recording = false;  // false: no backward will come, outputs for backward alone may stay undefined

  const Tensor& operator[](std::size_t i) const { return tensors[i]; }
};

// The values that reads() or a Rebuild declares; all others are undefined.
struct Saved {
  std::span<const Tensor> inputs;
  std::span<const Tensor> outputs;
  RngRange rng;
};

// An op without its type. One constant per op: kOp<LayerNorm>.
struct Op {
  OpTraits traits;
  std::span<const std::string_view> outputs;
  std::span<const Rebuild> rebuilds;
  Outputs (*forward)(Context&, const void* args, const Inputs&);
  void (*backward)(Context&, const void* args, const Saved&, Gradients&);
  Tensor (*rebuild)(Context&, const void* args, int output, const Saved&);
  Reads (*reads)(const void* args);
  Cost (*cost)(const void* args, std::span<const Shape> inputs);
  Elems (*rng_elems)(const void* args, std::span<const Shape> inputs);
};

inline constexpr std::size_t kMaxArgsBytes = 64;

// An op's Args by value.
class ArgsBox {
 public:
  template <class Args>
  explicit ArgsBox(const Args& args) {
    static_assert(std::is_trivially_copyable_v<Args> && sizeof(Args) <= kMaxArgsBytes);
    std::memcpy(bytes_.data(), &args, sizeof(Args));
  }
  const void* get() const { return bytes_.data(); }

 private:
  alignas(std::max_align_t) std::array<std::byte, kMaxArgsBytes> bytes_{};
};

namespace detail {

template <class T>
concept HasRebuilds = requires {
  T::kRebuilds;
};

template <class T>
constexpr Op make_op() {
  using Args = typename T::Args;
  Op op{};
  op.traits = T::kTraits;
  op.outputs = T::kOutputs;
  op.forward = [](Context& context, const void* args, const Inputs& inputs) {
    return T::forward(context, *static_cast<const Args*>(args), inputs);
  };
  op.backward = [](Context& context, const void* args, const Saved& saved, Gradients& gradients) {
    T::backward(context, *static_cast<const Args*>(args), saved, gradients);
  };
  op.reads = [](const void* args) { return T::reads(*static_cast<const Args*>(args)); };
  op.cost = [](const void* args, std::span<const Shape> inputs) {
    return T::cost(*static_cast<const Args*>(args), inputs);
  };
  if constexpr (HasRebuilds<T>) {
    op.rebuilds = T::kRebuilds;
    op.rebuild = [](Context& context, const void* args, int output, const Saved& saved) {
      return T::rebuild(context, *static_cast<const Args*>(args), output, saved);
    };
  }
  if constexpr (T::kTraits.uses_rng) {
    op.rng_elems = [](const void* args, std::span<const Shape> inputs) {
      return T::rng_elems(*static_cast<const Args*>(args), inputs);
    };
  }
  return op;
}

}  // namespace detail

template <class T>
inline constexpr Op kOp = detail::make_op<T>();

}  // namespace retape::nn
