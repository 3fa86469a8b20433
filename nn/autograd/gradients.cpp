#include "nn/autograd/gradients.h"

#include <algorithm>

#include "nn/autograd/graph.h"
#include "nn/kernels/elementwise.h"
#include "nn/kernels/launch.h"

namespace retape::nn {

Gradients::Gradients(Context& context, detail::Graph& graph, NodeId node)
    : context_(context), graph_(graph), node_(node) {
  for (const ValueId output : graph.node(node).outputs) {
    douts_.push_back(std::move(graph.value(output).gradient));
  }
}

ValueId Gradients::input(int i) const {
  return graph_.node(node_).inputs[static_cast<std::size_t>(i)];
}
bool Gradients::wants(int i) const {
  return graph_.value(input(i)).requires_grad;
}
const Shape& Gradients::input_shape(int i) const {
  return graph_.value(input(i)).shape;
}

// Where the gradient of a value is summed.
Tensor& Gradients::target(ValueId id) {
  detail::Value& value = graph_.value(id);
  return value.slot != nullptr ? value.slot->gradient : value.gradient;
}

GradSink Gradients::sink(int i) {
  const ValueId id = input(i);
  const detail::Value& value = graph_.value(id);
  const DType dtype = value.slot != nullptr ? value.slot->dtype : value.dtype;
  Tensor& gradient = target(id);
  if (!value.requires_grad) {
    return {Tensor(context_.device(), value.shape, dtype, Tag::workspace), false};
  }
  const auto fresh = [&] { return Tensor(context_.device(), value.shape, dtype, Tag::gradients); };
  if (std::find(sunk_.begin(), sunk_.end(), id) != sunk_.end()) {
    aside_.push_back({id, fresh()});
    return {aside_.back().gradient, false};
  }
  sunk_.push_back(id);
  if (!gradient.defined()) {
    gradient = fresh();
    return {gradient, false};
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
    add(id, std::move(gradient));
  }
}

void Gradients::add(ValueId id, Tensor gradient) {
  Tensor& sum = target(id);
  const detail::Value& value = graph_.value(id);
  const DType expected = value.slot != nullptr ? value.slot->dtype : value.dtype;
  require<ShapeError>(gradient.dtype() == expected && gradient.shape() == value.shape,
                      "[tape] gradient of {}: expected {} {}, got {} {}", value.name, name(expected), value.shape.str(),
                      name(gradient.dtype()), gradient.shape().str());
  if (!sum.defined()) {
    gradient.storage()->retag(Tag::gradients);
    sum = std::move(gradient);
    return;
  }
  Tensor out = sum.unique()        ? sum
               : gradient.unique() ? gradient
                                   : Tensor(sum.device(), sum.shape(), sum.dtype(), Tag::gradients);
  launch(context_,
         Add{.a = sum.data(), .b = gradient.data(), .out = out.data(), .elems = sum.elems(), .dtype = sum.dtype()});
  sum = std::move(out);
}

void Gradients::finish() {
  douts_.clear();
  for (Aside& aside : aside_) {
    add(aside.value, std::move(aside.gradient));
  }
}

}  // namespace retape::nn
