#include "nn/autograd/backward.h"

#include <algorithm>
#include <array>
#include <functional>

#include "nn/autograd/stopwatch.h"

namespace retape::nn::detail {
namespace {

// Moves `horizon` down to `node`, where there is one.
void lower(NodeId& horizon, NodeId node) {
  if (node != kNone && (horizon == kNone || node < horizon)) {
    horizon = node;
  }
}

}  // namespace

void Backward::run(ValueId root, Tensor dy, const BackwardOptions& options) {
  const OutputTagScope booking(context_, Tag::gradients);
  find_horizons();
  if (!options.retain) {
    list_releases();
  }
  seed(root, std::move(dy), options.seed);
  list_stored();
  for (auto id = static_cast<NodeId>(graph_.nodes.size()) - 1; id >= 0; --id) {
    prefetch(id);
    cross_boundary(id);
    differentiate(id);
    rebuilder_.release_above(id);
    release_kept(id);
  }
}

// The root begins with memory of its own, which ops may write and a slot may keep.
void Backward::seed(ValueId root, Tensor dy, float scalar) {
  if (!dy.unique()) {
    const Value& value = graph_.value(root);
    const Tensor given =
        std::exchange(dy, Tensor(context_.device(), value.shape, gradient_dtype(value), Tag::gradients));
    if (given.defined()) {
      context_.device().copy(dy.data(), given.data(), dy.bytes());
    } else {
      dy.from_host<float>(std::array{scalar});
    }
  }
  add_gradient(context_, graph_, root, std::move(dy));
}

// A kept value may go when no backward reads it any more, and nothing that was let go will be rebuilt from it.
void Backward::find_horizons() {
  for (Value& value : graph_.values) {
    value.horizon = value.last_read;
  }
  for (auto node = graph_.nodes.rbegin(); node != graph_.nodes.rend(); ++node) {
    NodeId rebuilt = kNone;  // the last time that this node may have to run again
    for (const ValueId output : node->outputs) {
      if (!tape_holds(graph_.value(output))) {
        lower(rebuilt, graph_.value(output).horizon);
      }
    }
    for (const ValueId input : node->inputs) {
      lower(graph_.value(input).horizon, rebuilt);
    }
    for (const Rebuild& way : node->op->rebuilds) {
      for (std::size_t j = 0; j < node->outputs.size(); ++j) {
        if (contains(way.from.outputs, j)) {
          lower(graph_.value(node->outputs[j]).horizon, rebuilt);
        }
      }
    }
  }
}

void Backward::list_releases() {
  for (std::size_t v = 0; v < graph_.values.size(); ++v) {
    const Value& value = graph_.values[v];
    if (value.producer != kNone && tape_holds(value)) {
      releases_.emplace_back(value.horizon, static_cast<ValueId>(v));
    }
  }
  std::sort(releases_.begin(), releases_.end());
}

// A stored value is first needed where backward enters the region that read it.
void Backward::list_stored() {
  for (std::size_t v = 0; v < graph_.values.size(); ++v) {
    const Value& value = graph_.values[v];
    if (value.saved != nullptr) {
      const NodeId last = graph_.region(value.reader).last;
      const auto end = last != kNone ? last : static_cast<NodeId>(graph_.nodes.size());
      stored_.emplace_back(end - 1, static_cast<ValueId>(v));
    }
  }
  std::sort(stored_.begin(), stored_.end(), std::greater<>());
}

// Asks for what the node's region needs and what the next one will, so that it comes while this one is differentiated.
void Backward::prefetch(NodeId id) {
  while (reached_ < stored_.size() && stored_[reached_].first >= id) {
    ++reached_;
  }
  const NodeId next = reached_ < stored_.size() ? stored_[reached_].first : kNone;
  for (; prefetched_ < stored_.size() && stored_[prefetched_].first >= next; ++prefetched_) {
    const ValueId value = stored_[prefetched_].second;
    if (!graph_.held(value).defined()) {
      graph_.value(value).saved->prefetch();
    }
  }
}

void Backward::cross_boundary(NodeId id) {
  const RegionId region = graph_.node(id).region;
  if (observer_ != nullptr && region != region_) {
    observer_->on_boundary(graph_.region(region));
  }
  region_ = region;
}

void Backward::release_kept(NodeId id) {
  while (!releases_.empty() && releases_.back().first >= id) {
    Value& value = graph_.value(releases_.back().second);
    value.data = Tensor();
    value.saved.reset();
    releases_.pop_back();
  }
}

void Backward::differentiate(NodeId id) {
  const Node& node = graph_.node(id);
  const bool wanted = std::any_of(node.outputs.begin(), node.outputs.end(),
                                  [this](ValueId output) { return graph_.value(output).gradient.defined(); });
  if (!wanted) {
    return;
  }
  rebuilder_.provide(id);
  std::vector<Tensor> inputs(node.inputs.size());
  std::vector<Tensor> outputs(node.outputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (contains(node.reads.inputs, i)) {
      inputs[i] = graph_.value(node.inputs[i]).data;
    }
  }
  for (std::size_t j = 0; j < outputs.size(); ++j) {
    if (contains(node.reads.outputs, j)) {
      outputs[j] = graph_.value(node.outputs[j]).data;
    }
  }
  Gradients gradients(context_, graph_, id);
  const Stopwatch stopwatch(observer_);
  node.op->backward(context_, node.args.get(), {.inputs = inputs, .outputs = outputs, .rng = node.rng}, gradients);
  gradients.finish();
  stopwatch.report(TapeEvent::Work::backward, node.op->traits.name, graph_.region(node.region));
}

}  // namespace retape::nn::detail
