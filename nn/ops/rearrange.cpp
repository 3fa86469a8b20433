#include "nn/ops/rearrange.h"

#include <algorithm>
#include <string>
#include <utility>

#include "nn/kernels/launch.h"
#include "nn/kernels/strided_copy.h"
#include "nn/ops/check.h"
#include "nn/ops/passed_gradient.h"

namespace retape::nn {
namespace {

using Extents = StridedCopy::Extents;

int from_first(int axis, const Shape& shape) {
  return axis < 0 ? axis + shape.rank() : axis;
}

// Where an axis is among the extents of a StridedCopy.
std::size_t place_of(const Shape& shape, int axis) {
  return static_cast<std::size_t>(Shape::kMaxRank - shape.rank() + from_first(axis, shape));
}

Extents extents_of(const Shape& shape) {
  Extents extents{1, 1, 1, 1};
  for (int axis = 0; axis < shape.rank(); ++axis) {
    extents[place_of(shape, axis)] = shape[axis];
  }
  return extents;
}

Extents strides_of(const Shape& shape) {
  Extents strides = extents_of(shape);
  std::int64_t stride = 1;
  for (std::size_t i = strides.size(); i-- > 0;) {
    stride *= std::exchange(strides[i], stride);
  }
  return strides;
}

// A tensor from `begin` of an axis on.
struct Part {
  const Tensor& whole;
  int axis = 0;
  std::int64_t begin = 0;

  void* data() const {
    const Elems first = begin == 0 ? 0 : begin * strides_of(whole.shape())[place_of(whole.shape(), axis)];
    return static_cast<std::byte*>(whole.data()) + first * size_of(whole.dtype());
  }
};

void copy(Context& context, const Part& from, const Part& to, const Shape& shape, bool accumulate = false) {
  launch(context, StridedCopy{.from = from.data(),
                              .to = to.data(),
                              .extents = extents_of(shape),
                              .from_strides = strides_of(from.whole.shape()),
                              .to_strides = strides_of(to.whole.shape()),
                              .accumulate = accumulate,
                              .dtype = from.whole.dtype(),
                              .to_dtype = to.whole.dtype()});
}

void copy_transposed(Context& context, const Transpose::Args& args, const Tensor& from, const Tensor& to,
                     bool accumulate = false) {
  Extents from_strides = strides_of(from.shape());
  std::swap(from_strides[place_of(from.shape(), args.axis)], from_strides[place_of(from.shape(), args.other_axis)]);
  launch(context, StridedCopy{.from = from.data(),
                              .to = to.data(),
                              .extents = extents_of(to.shape()),
                              .from_strides = from_strides,
                              .to_strides = strides_of(to.shape()),
                              .accumulate = accumulate,
                              .dtype = from.dtype(),
                              .to_dtype = to.dtype()});
}

Cost cost_of_copy(Elems elems) {
  return {.flops = 0, .bytes = 2 * elems * size_of(DType::f32)};
}

}  // namespace

Outputs Reshape::forward(Context& /*context*/, const Args& args, const Inputs& inputs) {
  const Tensor& x = Checked(kTraits.name, "x", inputs[kX]).not_empty();
  require<ShapeError>(args.shape.elems() == x.elems(), "[reshape] shape: expected {} elements as {} has, got {}",
                      x.elems(), x.shape().str(), args.shape.str());
  return {x.reshaped(args.shape)};
}

void Reshape::backward(Context& context, const Args& /*args*/, const Saved& /*saved*/, Gradients& gradients) {
  pass_on(context, gradients, kX, gradients.take_dout(0));
}

Var reshape(Tape& tape, Var x, const Shape& shape, std::string_view name) {
  return tape.run<Reshape>({shape}, {std::move(x)}, name);
}

Outputs Transpose::forward(Context& context, const Args& args, const Inputs& inputs) {
  const Tensor& x = Checked(kTraits.name, "x", inputs[kX]).floating().an_axis().not_empty();
  expect_axis(kTraits.name, "axis", args.axis, x);
  expect_axis(kTraits.name, "other_axis", args.other_axis, x);
  const Shape shape =
      x.shape().with({{args.axis, x.shape()[args.other_axis]}, {args.other_axis, x.shape()[args.axis]}});
  const Tensor y = make_output(context, shape, x.dtype());
  copy_transposed(context, args, x, y);
  return {y};
}

void Transpose::backward(Context& context, const Args& args, const Saved& /*saved*/, Gradients& gradients) {
  const GradSink dx = gradients.sink(kX);
  copy_transposed(context, args, gradients.dout(0), dx.tensor, dx.accumulate);
}

Cost Transpose::cost(const Args& /*args*/, std::span<const Shape> inputs) {
  return cost_of_copy(inputs[kX].elems());
}

Var transpose(Tape& tape, Var x, int axis, int other_axis, std::string_view name) {
  return tape.run<Transpose>({axis, other_axis}, {std::move(x)}, name);
}

Outputs Concat::forward(Context& context, const Args& args, const Inputs& inputs) {
  const Tensor& first = Checked(kTraits.name, "part 0", inputs[0]).floating().an_axis().not_empty();
  expect_axis(kTraits.name, "axis", args.axis, first);
  std::int64_t extent = 0;
  for (std::size_t i = 0; i < inputs.tensors.size(); ++i) {
    const std::string input = fmt::format("part {}", i);
    const Checked checked(kTraits.name, input, inputs[i]);
    const Tensor& part = checked.rank(first.shape().rank());
    checked.shape(first.shape().with({{args.axis, part.shape()[args.axis]}})).dtype(first.dtype()).not_empty();
    extent += part.shape()[args.axis];
  }
  const Tensor y = make_output(context, first.shape().with({{args.axis, extent}}), first.dtype());
  std::int64_t begin = 0;
  for (const Tensor& part : inputs.tensors) {
    copy(context, {part}, {y, args.axis, begin}, part.shape());
    begin += part.shape()[args.axis];
  }
  return {y};
}

void Concat::backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients) {
  const Tensor& dy = gradients.dout(0);
  std::int64_t begin = 0;
  for (int i = 0; i < static_cast<int>(saved.inputs.size()); ++i) {
    const Shape shape = gradients.shape(i);
    if (gradients.wants(i)) {
      const GradSink dpart = gradients.sink(i);
      copy(context, {dy, args.axis, begin}, {dpart.tensor}, shape, dpart.accumulate);
    }
    begin += shape[args.axis];
  }
}

Cost Concat::cost(const Args& /*args*/, std::span<const Shape> inputs) {
  Elems elems = 0;
  for (const Shape& part : inputs) {
    elems += part.elems();
  }
  return cost_of_copy(elems);
}

Var concat(Tape& tape, const std::vector<Var>& parts, int axis, std::string_view name) {
  require<ShapeError>(!parts.empty() && parts.size() <= Concat::kMostParts, "[concat] parts: expected 1 to {}, got {}",
                      std::size_t{Concat::kMostParts}, parts.size());
  return tape.run(kOp<Concat>, ArgsBox(Concat::Args{axis}), parts, name);
}

Outputs Slice::forward(Context& context, const Args& args, const Inputs& inputs) {
  const Tensor& x = Checked(kTraits.name, "x", inputs[kX]).floating().an_axis().not_empty();
  expect_axis(kTraits.name, "axis", args.axis, x);
  const std::int64_t extent = x.shape()[args.axis];
  require<ShapeError>(0 <= args.begin && args.begin < args.end && args.end <= extent,
                      "[slice] x: expected 0 <= begin < end <= {}, got {} and {}", extent, args.begin, args.end);
  const Tensor y = make_output(context, x.shape().with({{args.axis, args.end - args.begin}}), x.dtype());
  copy(context, {x, args.axis, args.begin}, {y}, y.shape());
  return {y};
}

void Slice::backward(Context& context, const Args& args, const Saved& /*saved*/, Gradients& gradients) {
  const Tensor& dy = gradients.dout(0);
  GradSink dx = gradients.sink(kX);
  if (!dx.accumulate) {
    dx.tensor.fill_zero();
  }
  copy(context, {dy}, {dx.tensor, args.axis, args.begin}, dy.shape(), dx.accumulate);
}

Cost Slice::cost(const Args& args, std::span<const Shape> inputs) {
  const Shape& x = inputs[kX];
  return cost_of_copy(x.elems() / x[args.axis] * (args.end - args.begin));
}

Var slice(Tape& tape, Var x, int axis, std::int64_t begin, std::int64_t end, std::string_view name) {
  return tape.run<Slice>({axis, begin, end}, {std::move(x)}, name);
}

}  // namespace retape::nn
