// The same elements under another shape or in another order, or a part of them. An axis is counted from 0, or back from
// the last, which is -1.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "nn/autograd/tape.h"

namespace retape::nn {

// x under another shape of as many elements: a view, in the memory of x.
//
//   x        [...]  any dtype
//   returns  shape  dtype of x
//
// Backward reads: nothing.   Cost: none.   Throws: ShapeError.
struct Reshape {
  static constexpr OpTraits kTraits{.name = "reshape"};
  static constexpr std::array<std::string_view, 1> kOutputs{"reshape"};
  enum { kX };
  struct Args {
    Shape shape;
  };
  static Reads reads(const Args& /*args*/) { return {}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& /*args*/, std::span<const Shape> /*inputs*/) { return {}; }
};

Var reshape(Tape& tape, Var x, const Shape& shape, std::string_view name = {});

// x with two of its axes exchanged.
//
//   x        [..., M, ..., N, ...]  f32 | bf16
//   returns  [..., N, ..., M, ...]  dtype of x
//
// Backward reads: nothing.   Cost: memory-bound.   Throws: ShapeError, OutOfMemory.
struct Transpose {
  static constexpr OpTraits kTraits{.name = "transpose"};
  static constexpr std::array<std::string_view, 1> kOutputs{"transpose"};
  enum { kX };
  struct Args {
    int axis;
    int other_axis;
  };
  static Reads reads(const Args& /*args*/) { return {}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
};

Var transpose(Tape& tape, Var x, int axis, int other_axis, std::string_view name = {});

// The parts one behind the other along an axis.
//
//   parts    [..., N_i, ...]      f32 | bf16; 1 to kMostParts, of one dtype, and of one shape but for that axis
//   returns  [..., sum N_i, ...]  dtype of the parts
//
// Backward reads: nothing.   Cost: memory-bound.   Throws: ShapeError, OutOfMemory.
struct Concat {
  static constexpr OpTraits kTraits{.name = "concat"};
  static constexpr std::array<std::string_view, 1> kOutputs{"concat"};
  static constexpr std::size_t kMostParts = 32;  // a set of inputs has 32 bits
  struct Args {
    int axis;
  };
  static Reads reads(const Args& /*args*/) { return {}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
};

Var concat(Tape& tape, const std::vector<Var>& parts, int axis, std::string_view name = {});

// What lies at [begin, end) of an axis.
//
//   x        [..., N, ...]            f32 | bf16
//   returns  [..., end - begin, ...]  dtype of x
//
// Backward reads: nothing.   Cost: memory-bound.   Throws: ShapeError, OutOfMemory.
struct Slice {
  static constexpr OpTraits kTraits{.name = "slice"};
  static constexpr std::array<std::string_view, 1> kOutputs{"slice"};
  enum { kX };
  struct Args {
    int axis;
    std::int64_t begin;
    std::int64_t end;
  };
  static Reads reads(const Args& /*args*/) { return {}; }
  static Outputs forward(Context& context, const Args& args, const Inputs& inputs);
  static void backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients);
  static Cost cost(const Args& args, std::span<const Shape> inputs);
};

Var slice(Tape& tape, Var x, int axis, std::int64_t begin, std::int64_t end, std::string_view name = {});

}  // namespace retape::nn
