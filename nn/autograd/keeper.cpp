#include "nn/autograd/keeper.h"

#include <algorithm>

#include "nn/autograd/stopwatch.h"

namespace retape::nn::detail {

void Keeper::note_use(ValueId id, const Tensor& data, RegionId here, const RetentionPolicy* policy) {
  Value& value = graph_.value(id);
  if (value.producer == kNone) {
    return;
  }
  const RegionId home = graph_.common_region(value.home, here);
  if (home != value.home) {
    value.home = home;
    if (value.fate == Fate::recompute) {
      ask(id, data, here, policy);
    }
  }
  // What comes into a region from outside is held until the region closes: only then is it known whether a value that
  // was let go inside needs it to be rebuilt.
  if (value.fate == Fate::undecided && home != here && !value.data.defined()) {
    value.data = data;
    held_until_close_.push_back(id);
  }
}

void Keeper::note_read(ValueId id, const Tensor& data, NodeId reader, const RetentionPolicy* policy) {
  Value& value = graph_.value(id);
  if (value.producer == kNone) {
    return;
  }
  if (value.last_read == kNone) {
    value.last_read = reader;
  }
  if (value.fate == Fate::undecided) {
    ask(id, data, graph_.node(reader).region, policy);
  }
}

ValueInfo Keeper::info_of(const Value& value, RegionId reader) const {
  const Node& producer = graph_.node(value.producer);
  return {.name = value.name,
          .op = producer.op->traits.name,
          .output = value.output,
          .shape = value.shape,
          .dtype = value.dtype,
          .bytes = value.shape.elems() * size_of(value.dtype),
          .cost = producer.op->cost(producer.args.get(), graph_.input_shapes(producer)),
          .home = &graph_.region(value.home),
          .reader = &graph_.region(reader),
          .placement = value.placement};
}

void Keeper::ask(ValueId id, const Tensor& data, RegionId reader, const RetentionPolicy* policy) {
  Value& value = graph_.value(id);
  value.reader = reader;
  const OpTraits& producer = graph_.node(value.producer).op->traits;
  if (producer.keep_saved) {
    value.data = data;
    value.fate = Fate::keep;
    return;
  }
  const ValueInfo info = info_of(value, reader);
  const Decision decision = policy == nullptr ? Decision{} : policy->decide(info);
  switch (decision.what) {
    case Retain::keep:
      value.data = data;
      if (data.storage()->tag() == Tag::activations) {  // a parameter that an op passes on stays one
        data.storage()->retag(decision.tag);
      }
      value.fate = Fate::keep;
      return;
    case Retain::recompute:
      value.data = Tensor();
      value.fate = Fate::recompute;
      return;
    case Retain::store:
      const Stopwatch stopwatch(observer_);
      value.saved = decision.store->save(data, info);
      value.data = Tensor();
      value.fate = Fate::store;
      stopwatch.report(TapeEvent::Work::save, producer.name, graph_.region(reader));
      return;
  }
}

void Keeper::decide_boundary(RegionId id, const RetentionPolicy* policy) {
  const Region& region = graph_.region(id);
  const auto missing = [](const Value& value) {
    return value.fate == Fate::recompute || (value.fate == Fate::undecided && value.needed_to_rebuild);
  };
  for (NodeId n = region.last - 1; n >= region.first; --n) {
    const Node& node = graph_.node(n);
    const bool rebuilt = std::any_of(node.outputs.begin(), node.outputs.end(),
                                     [&](ValueId output) { return missing(graph_.value(output)); });
    if (!rebuilt) {
      continue;
    }
    for (const ValueId input : node.inputs) {
      Value& value = graph_.value(input);
      if (value.fate != Fate::undecided) {
        continue;
      }
      value.needed_to_rebuild = true;
      if (value.producer < region.first && value.data.defined()) {
        const Tensor data = value.data;
        ask(input, data, id, policy);
      }
    }
  }
  std::erase_if(held_until_close_, [&](ValueId held) {
    Value& value = graph_.value(held);
    const bool stays = value.fate == Fate::undecided && graph_.opaque_region(region.parent) != value.home;
    if (value.fate == Fate::undecided && !stays) {
      value.data = Tensor();
    }
    return !stays;
  });
}

}  // namespace retape::nn::detail
