#include "nn/autograd/rebuild.h"

#include <algorithm>
#include <utility>

#include "nn/autograd/stopwatch.h"

namespace retape::nn::detail {

void Rebuilder::provide(NodeId node) {
  brought_.resize(graph_.values.size());
  const Plan plan = make_plan(node);
  if (plan.empty()) {
    return;
  }
  const auto start = std::chrono::steady_clock::now();
  const OutputTagScope booking(context_, Tag::recompute);
  uses_.resize(graph_.values.size());
  for (const auto& [id, step] : plan) {
    count_uses(id, step);
  }
  for (const auto& [id, step] : plan) {
    execute(id, step, node);
  }
  stats_.rebuild_time += std::chrono::steady_clock::now() - start;
}

Rebuilder::Plan Rebuilder::make_plan(NodeId id) {
  Plan plan;
  std::vector<ValueId> pending;
  target_ = id;
  want_all(id, graph_.node(id).reads, plan, pending);
  // What a planned node reads is wanted in its turn.
  while (!pending.empty()) {
    const NodeId producer = graph_.value(pending.back()).producer;
    pending.pop_back();
    want_all(producer, sources(graph_.node(producer), plan.at(producer)), plan, pending);
  }
  return plan;
}

void Rebuilder::want_all(NodeId reader, const Reads& reads, Plan& plan, std::vector<ValueId>& pending) {
  const Node& node = graph_.node(reader);
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (contains(reads.inputs, i)) {
      want(node.inputs[i], reader, plan, pending);
    }
  }
  for (std::size_t j = 0; j < node.outputs.size(); ++j) {
    if (contains(reads.outputs, j)) {
      want(node.outputs[j], reader, plan, pending);
    }
  }
}

// Fetches the value where somebody has it; otherwise plans its producer.
void Rebuilder::want(ValueId id, NodeId reader, Plan& plan, std::vector<ValueId>& pending) {
  Value& value = graph_.value(id);
  if (value.data.defined()) {
    if (value.fate == Fate::keep) {  // what was rebuilt or fetched is in memory of its own
      require_unwritten(id, value.data, reader);
    }
    return;
  }
  if (Tensor held = graph_.held(id); held.defined()) {
    require_unwritten(id, held, reader);
    bring(id, std::move(held));
    return;
  }
  if (value.saved != nullptr) {
    const Stopwatch stopwatch(observer_);
    bring(id, value.saved->fetch());
    stopwatch.report(TapeEvent::Work::fetch, graph_.node(value.producer).op->traits.name,
                     graph_.region(graph_.node(target_).region));
    return;
  }
  require(value.producer != kNone, "[tape] rebuild: a leaf has lost its data");
  Step& step = plan[value.producer];
  const auto output = static_cast<std::size_t>(value.output);
  if (contains(step.outputs, output)) {
    return;
  }
  step.outputs |= 1U << output;
  step.forward = step.forward || graph_.open_rebuild(id) == nullptr;
  pending.push_back(id);
}

// Of leaves, and of what shares memory with them: what is read now must be what forward has read.
void Rebuilder::require_unwritten(ValueId id, const Tensor& data, NodeId reader) const {
  const Value& value = graph_.value(id);
  if (data.storage()->version() == value.version) {
    return;
  }
  const Node& node = graph_.node(reader);
  const auto input = std::find(node.inputs.begin(), node.inputs.end(), id) - node.inputs.begin();
  const std::string& region = graph_.region(node.region).name;
  fail("[{}] {}: expected the contents that forward read {}, got ones that were written before its {}",
       node.op->traits.name, value.name.empty() ? fmt::format("input {}", input) : std::string(value.name),
       region.empty() ? "outside all regions" : fmt::format("in region {}", region),
       reader == target_ ? "backward" : "rebuild for backward");
}

// What the step reads of the node's own inputs and outputs.
Reads Rebuilder::sources(const Node& node, const Step& step) const {
  if (step.forward) {
    return kAllInputs;
  }
  Reads from;
  for (const Rebuild& way : node.op->rebuilds) {
    if (contains(step.outputs, static_cast<std::size_t>(way.output))) {
      from.inputs |= way.from.inputs;
      from.outputs |= way.from.outputs;
    }
  }
  return from;
}

// The counts are back at 0 when the plan has run.
void Rebuilder::count_uses(NodeId id, const Step& step) {
  const Node& node = graph_.node(id);
  const Reads from = sources(node, step);
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    uses_[static_cast<std::size_t>(node.inputs[i])] += contains(from.inputs, i) ? 1 : 0;
  }
}

void Rebuilder::execute(NodeId id, const Step& step, NodeId target) {
  Node& node = graph_.node(id);
  make_outputs(node, step);
  const Reads from = sources(node, step);
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (contains(from.inputs, i)) {
      --uses_[static_cast<std::size_t>(node.inputs[i])];
      done_with(node.inputs[i], target);
    }
  }
  for (const ValueId output : node.outputs) {
    done_with(output, target);
  }
}

void Rebuilder::make_outputs(Node& node, const Step& step) {
  const Stopwatch stopwatch(observer_);
  std::vector<Tensor> inputs;
  inputs.reserve(node.inputs.size());
  for (const ValueId input : node.inputs) {
    inputs.push_back(graph_.value(input).data);
  }
  const auto report = [&](Flops flops) {
    ++stats_.rebuilt_ops;
    stats_.rebuilt_flops += flops;
    stopwatch.report(TapeEvent::Work::rebuild, node.op->traits.name, graph_.region(node.region), flops);
  };
  if (step.forward) {
    const Outputs made =
        node.op->forward(context_, node.args.get(), {.tensors = inputs, .rng = node.rng, .recording = true});
    for (std::size_t j = 0; j < made.size(); ++j) {
      if (!graph_.available(node.outputs[j])) {
        bring(node.outputs[j], made[j]);
      }
    }
    report(node.op->cost(node.args.get(), graph_.input_shapes(node)).flops);
    return;
  }
  Flops flops = 0;
  for (const Rebuild& way : node.op->rebuilds) {
    if (contains(step.outputs, static_cast<std::size_t>(way.output))) {
      flops += way.flops_per_elem * graph_.value(node.outputs[static_cast<std::size_t>(way.output)]).shape.elems();
    }
  }
  for (std::size_t j = 0; j < node.outputs.size(); ++j) {
    if (contains(step.outputs, j)) {
      std::vector<Tensor> outputs;
      for (const ValueId output : node.outputs) {
        outputs.push_back(graph_.value(output).data);
      }
      bring(node.outputs[j], node.op->rebuild(context_, node.args.get(), static_cast<int>(j),
                                              {.inputs = inputs, .outputs = outputs, .rng = node.rng}));
    }
  }
  report(flops);
}

void Rebuilder::bring(ValueId id, Tensor data) {
  graph_.value(id).data = std::move(data);
  brought_[static_cast<std::size_t>(id)] = true;
  unsettled_.push_back(id);
}

void Rebuilder::let_go(ValueId id) {
  graph_.value(id).data = Tensor();
  brought_[static_cast<std::size_t>(id)] = false;
}

void Rebuilder::done_with(ValueId id, NodeId target) {
  if (brought_[static_cast<std::size_t>(id)] && uses_[static_cast<std::size_t>(id)] == 0 && !stays(id, target)) {
    let_go(id);
  }
}

// What stays because it is yet to be read does so until it is, or until backward leaves the region, and is looked at no
// sooner: in a region of very many nodes nearly all of it is such.
void Rebuilder::release_above(NodeId node) {
  const bool leaves_region = node == 0 || graph_.node(node - 1).region != graph_.node(node).region;
  const auto due = leaves_region ? settled_.begin() : settled_.lower_bound(node);
  std::vector<ValueId> ids = std::exchange(unsettled_, {});
  for (auto settled = due; settled != settled_.end(); ++settled) {
    ids.insert(ids.end(), settled->second.begin(), settled->second.end());
  }
  settled_.erase(due, settled_.end());
  for (const ValueId id : ids) {
    const Value& value = graph_.value(id);
    if (!brought_[static_cast<std::size_t>(id)]) {
      continue;  // it went when its rebuild was done with it
    }
    if (node == 0 || !stays(id, node - 1)) {
      let_go(id);
    } else if (pending(value, node - 1)) {
      settled_[value.last_read].push_back(id);
    } else {
      unsettled_.push_back(id);
    }
  }
}

// Whether a value that is here now is worth holding while `node` and those below it are differentiated.
bool Rebuilder::stays(ValueId id, NodeId node) {
  const Value& value = graph_.value(id);
  return graph_.encloses(value.home, graph_.node(node).region) && (pending(value, node) || feeds_a_rebuild(id, node));
}

bool Rebuilder::pending(const Value& value, NodeId node) const {
  return value.last_read != kNone && value.last_read <= node;
}

// Whether nobody will have the value when `node` and those below it are differentiated: what this rebuild has made in a
// region that does not enclose `node` goes when the rebuild is done.
bool Rebuilder::goes_missing(const Value& value, NodeId node) const {
  const bool stays_if_here = graph_.encloses(value.home, graph_.node(node).region);
  return !tape_holds(value) && value.program.expired() && !(value.data.defined() && stays_if_here);
}

// Whether something that is missing, and will be read, would be made from this value. What is made above `node` is read
// above it too, and that is over. Looks at each value once: in a residual network the paths are without number.
bool Rebuilder::feeds_a_rebuild(ValueId id, NodeId node) {
  seen_.resize(graph_.values.size());
  ++search_;
  to_follow_.assign(1, id);
  while (!to_follow_.empty()) {
    const ValueId from = to_follow_.back();
    to_follow_.pop_back();
    for (const NodeId consumer : graph_.value(from).consumers) {
      if (consumer > node) {
        continue;
      }
      for (const ValueId output : graph_.node(consumer).outputs) {
        const Value& made = graph_.value(output);
        std::int64_t& seen = seen_[static_cast<std::size_t>(output)];
        if (!goes_missing(made, node) || std::exchange(seen, search_) == search_) {
          continue;
        }
        if (pending(made, node)) {
          return true;
        }
        to_follow_.push_back(output);
      }
    }
  }
  return false;
}

}  // namespace retape::nn::detail
