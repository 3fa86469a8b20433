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
  list_stored(root);
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
  graph_.root = root;
  graph_.seed = dy.defined() ? std::nullopt : std::optional(scalar);
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

// By value: the highest node whose backward reads it, or reads what is then rebuilt from it; kNone where none does. The
// counterpart of horizons, which are the lowest, so that no value is asked for when it has gone.
std::vector<NodeId> Backward::find_first_needs(ValueId root) const {
  std::vector<NodeId> needs(graph_.values.size(), kNone);
  std::vector<bool> has_gradient(graph_.values.size());
  const auto raise = [&needs](ValueId id, NodeId node) {
    NodeId& need = needs[static_cast<std::size_t>(id)];
    need = std::max(need, node);
  };
  has_gradient[static_cast<std::size_t>(root)] = true;
  for (auto id = static_cast<NodeId>(graph_.nodes.size()) - 1; id >= 0; --id) {
    const Node& node = graph_.node(id);
    if (std::any_of(node.outputs.begin(), node.outputs.end(),
                    [&](ValueId output) { return has_gradient[static_cast<std::size_t>(output)]; })) {
      graph_.for_each_read(node, node.reads, [&](ValueId read) { raise(read, id); });
      for (const ValueId input : node.inputs) {
        has_gradient[static_cast<std::size_t>(input)] = graph_.value(input).requires_grad;
      }
    }
    for (const ValueId output : node.outputs) {
      const NodeId need = needs[static_cast<std::size_t>(output)];
      if (need != kNone && !graph_.available(output)) {
        const Rebuild* way = graph_.open_rebuild(output);
        graph_.for_each_read(node, way != nullptr ? way->from : kAllInputs, [&](ValueId read) { raise(read, need); });
      }
    }
  }
  return needs;
}

void Backward::list_stored(ValueId root) {
  const std::vector<NodeId> needs = find_first_needs(root);
  const auto nodes = static_cast<NodeId>(graph_.nodes.size());
  std::vector<NodeId> stretches(graph_.nodes.size());  // by node: the highest of those around it in its region
  for (NodeId id = nodes - 1; id >= 0; --id) {
    const bool goes_on = id + 1 < nodes && graph_.node(id + 1).region == graph_.node(id).region;
    stretches[static_cast<std::size_t>(id)] = goes_on ? stretches[static_cast<std::size_t>(id) + 1] : id;
  }
  for (std::size_t v = 0; v < graph_.values.size(); ++v) {
    if (graph_.values[v].saved != nullptr && needs[v] != kNone) {
      stored_.push_back({.stretch = stretches[static_cast<std::size_t>(needs[v])],
                         .need = needs[v],
                         .value = static_cast<ValueId>(v)});
    }
  }
  std::sort(stored_.begin(), stored_.end(), std::greater<>());
}

// Asks for what is needed before backward leaves the node's region, and for what the next one will need, so that it
// comes while this one is differentiated.
void Backward::prefetch(NodeId id) {
  while (reached_ < stored_.size() && stored_[reached_].stretch >= id) {
    ++reached_;
  }
  const NodeId next = reached_ < stored_.size() ? stored_[reached_].stretch : kNone;
  for (; prefetched_ < stored_.size() && stored_[prefetched_].stretch >= next; ++prefetched_) {
    const ValueId value = stored_[prefetched_].value;
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
