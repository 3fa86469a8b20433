#include "nn/autograd/gradients.h"

#include <algorithm>

#include "nn/autograd/graph.h"
#include "nn/kernels/elementwise.h"
#include "nn/kernels/launch.h"

namespace retape::nn {
namespace {

// Where the gradient of a value is summed.
Tensor& sum_of(detail::Value& value) {
  return value.slot != nullptr ? value.slot->gradient : value.gradient;
}

void check(const detail::Value& value, DType dtype, const Shape& shape) {
  const DType expected = detail::gradient_dtype(value);
  if (dtype != expected || shape != value.shape) {
    fail<ShapeError>("[tape] gradient of {}: expected {} {}, got {} {}", value.name, name(expected), value.shape.str(),
                     name(dtype), shape.str());
  }
}

}  // namespace

Gradients::Gradients(Context& context, detail::Graph& graph, NodeId node)
    : context_(context), graph_(graph), node_(node) {
  for (const ValueId output : graph.node(node).outputs) {
    douts_.push_back(std::move(graph.value(output).gradient));
  }
}

ValueId Gradients::input(int i) const {
  return graph_.node(node_).inputs[static_cast<std::size_t>(i)];
}

std::optional<float> Gradients::seed(int j) const {
  const bool is_root = graph_.node(node_).outputs[static_cast<std::size_t>(j)] == graph_.root;
  return is_root ? graph_.seed : std::nullopt;
}

bool Gradients::wants(int i) const {
  return graph_.value(input(i)).requires_grad;
}

const Shape& Gradients::shape(int i) const {
  return graph_.value(input(i)).shape;
}
DType Gradients::dtype(int i) const {
  return detail::gradient_dtype(graph_.value(input(i)));
}

GradSink Gradients::sink(int i) {
  return sink(i, dtype(i));
}

GradSink Gradients::sink(int i, DType dtype) {
  const ValueId id = input(i);
  detail::Value& value = graph_.value(id);
  Tensor& gradient = sum_of(value);
  if (!value.requires_grad) {
    return {Tensor(context_.device(), value.shape, dtype, Tag::workspace), false};
  }
  check(value, dtype, value.shape);
  const auto fresh = [&] { return Tensor(context_.device(), value.shape, dtype, Tag::gradients); };
  const bool again = std::find(sunk_.begin(), sunk_.end(), id) != sunk_.end();
  if (!again) {
    sunk_.push_back(id);
  }
  if (again || !gradient.defined()) {
    aside_.push_back({id, fresh()});
    return {aside_.back().gradient, false};
  }
  if (!gradient.unique()) {
    Tensor own = fresh();
    context_.device().copy(own.data(), gradient.data(), own.bytes());
    gradient = std::move(own);
  }
  return {gradient, true};
}

void Gradients::give(int i, Tensor gradient) {
  const ValueId id = input(i);
  if (std::find(sunk_.begin(), sunk_.end(), id) != sunk_.end()) {
    aside_.push_back({id, std::move(gradient)});
  } else {
    detail::add_gradient(context_, graph_, id, std::move(gradient));
  }
}

void detail::add_gradient(Context& context, Graph& graph, ValueId id, Tensor gradient) {
  Value& value = graph.value(id);
  check(value, gradient.dtype(), gradient.shape());
  Tensor& sum = sum_of(value);
  if (!sum.defined()) {
    gradient.storage()->retag(Tag::gradients);
    sum = std::move(gradient);
    return;
  }
  Tensor out = sum.unique()        ? sum
               : gradient.unique() ? gradient
                                   : Tensor(sum.device(), sum.shape(), sum.dtype(), Tag::gradients);
  launch(context,
         Add{.a = sum.data(), .b = gradient.data(), .out = out.data(), .elems = sum.elems(), .dtype = sum.dtype()});
  sum = std::move(out);
}

void Gradients::finish() {
  douts_.clear();
  for (Aside& aside : aside_) {
    detail::add_gradient(context_, graph_, aside.value, std::move(aside.gradient));
  }
}

}  // namespace retape::nn
