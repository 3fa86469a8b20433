// The gradients that flow into and out of one node while it is differentiated.
#pragma once

#include <optional>
#include <vector>

#include "nn/autograd/retention.h"
#include "nn/tensor/tensor.h"

namespace retape::nn {

// The gradient of a leaf, summed over every use until somebody takes it.
//
// After a backward that failed it holds a part of the sum: what the ops before the one that failed have added, and what
// that one had added already to a sum that was there. It never holds memory that nobody has written.
struct GradientSlot {
  Tensor gradient;  // undefined until the first contribution
  DType dtype = DType::f32;
};

// Where an op writes the gradient of one input.
struct GradSink {
  Tensor tensor;
  bool accumulate = false;  // add to what is there; otherwise the contents are undefined and must be overwritten
};

namespace detail {
struct Graph;
// Adds to the sum of a value's gradient: its slot's where it is a leaf. May take over the memory of `gradient`. Throws
// ShapeError where the shape is not the value's, or the dtype not the one in which it is summed.
void add_gradient(Context& context, Graph& graph, ValueId id, Tensor gradient);
}  // namespace detail

class Gradients {
 public:
  Gradients(Context& context, detail::Graph& graph, NodeId node);

  // Gradient of output j; undefined where nothing depends on it.
  const Tensor& dout(int j) const { return douts_[static_cast<std::size_t>(j)]; }
  // The same, given away, so that it may be written in place if unique().
  Tensor take_dout(int j) { return std::move(douts_[static_cast<std::size_t>(j)]); }

  // The number that backward began with, where output j is the root and nothing was given for it; the host knows it, so
  // that an op may spare itself a product with 1.
  std::optional<float> seed(int j) const;

  // Whether the gradient of input i is needed.
  bool wants(int i) const;
  // The shape of input i, and the dtype in which its gradient is summed.
  const Shape& shape(int i) const;
  DType dtype(int i) const;

  // Memory for the gradient of input i, to be written before backward returns. Of an input whose gradient is not needed
  // it is scratch: ops skip what is costly to compute where wants() is false, and need not care about the rest.
  // Throws ShapeError where the gradient is to be summed in another dtype.
  GradSink sink(int i, DType dtype);
  // The same for an op that writes any dtype: the tensor has the one in which the gradient is summed.
  GradSink sink(int i);
  // Hands over a finished gradient of input i, which may share memory with dout.
  void give(int i, Tensor gradient);

  // Adds to the sums what is not in them yet; called by the tape when backward has returned.
  void finish();

 private:
  struct Aside {
    ValueId value = kNone;
    Tensor gradient;
  };
  ValueId input(int i) const;

  Context& context_;
  detail::Graph& graph_;
  NodeId node_;
  std::vector<Tensor> douts_;
  std::vector<ValueId> sunk_;  // inputs whose sink was handed out
  // Sinks of sums that begin here, and second sinks of a value that is an input twice. The first are no sums until the
  // op is done: it may fail before it has written them.
  std::vector<Aside> aside_;
};

}  // namespace retape::nn
