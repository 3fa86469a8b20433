// The regions of a tape: how they open, close and are grouped, and what is decided when one closes.
#include <algorithm>
#include <utility>

#include "nn/autograd/graph.h"
#include "nn/autograd/tape.h"

namespace retape::nn {

using detail::Fate;
using detail::Node;
using detail::Value;

RegionScope Tape::region(std::string name, const RetentionPolicy* policy) {
  require_alive("region");
  bool transparent = false;
  if (open_region_ == kRootRegion || open_region_ == group_) {
    transparent = enter_group(policy == nullptr).merged;
    ++layers_;
  }
  return {*this, alive_, open(std::move(name), layers_ - 1, transparent, policy)};
}

// Goes on with the open group, or closes it and begins the next, as the tape's policy has it.
RegionGrouping Tape::enter_group(bool groupable) {
  const RetentionPolicy* policy = policies_.front();
  const RegionGrouping asked = groupable && policy != nullptr ? policy->grouping() : RegionGrouping{};
  const RegionGrouping grouping = asked.size > 1 ? asked : RegionGrouping{};
  if (open_region_ == group_ && group_members_ >= grouping.size) {
    leave_group();
  }
  if (open_region_ == kRootRegion && grouping.size > 1) {
    group_ = open(fmt::format("group.{}", layers_ / grouping.size), layers_, false, nullptr);
    group_members_ = 0;
  }
  ++group_members_;
  return grouping;
}

void Tape::leave_group() {
  close_region(std::exchange(group_, kNone));
}

RegionId Tape::open(std::string name, int layer, bool transparent, const RetentionPolicy* policy) {
  const auto id = static_cast<RegionId>(graph_->regions.size());
  Region region{.name = std::move(name),
                .parent = open_region_,
                .depth = graph_->region(open_region_).depth + 1,
                .layer = layer,
                .transparent = transparent,
                .first = static_cast<NodeId>(graph_->nodes.size()),
                .last = kNone};
  if (options_.observer != nullptr) {
    options_.observer->on_boundary(region);  // may throw: nothing is open yet
  }
  policies_.push_back(policy != nullptr ? policy : policies_.back());
  graph_->regions.push_back(std::move(region));
  open_region_ = id;
  came_from_region_ = true;
  return id;
}

void Tape::close_region(RegionId id) {
  Region& region = graph_->region(id);
  require(region.last == kNone, "[tape] region {}: expected an open region, got one that is closed", region.name);
  require(id == open_region_, "[tape] region {}: expected inner region {} to be closed first", region.name,
          graph_->region(open_region_).name);
  region.last = static_cast<NodeId>(graph_->nodes.size());
  const auto leave = [&] {
    open_region_ = region.parent;
    policies_.pop_back();
  };
  try {
    if (!region.transparent) {
      decide_boundary(id);
    }
    if (options_.observer != nullptr) {
      options_.observer->on_boundary(region);
    }
  } catch (...) {
    leave();
    throw;
  }
  leave();
}

// Finds what the values that were let go inside the region need from outside it, and asks about what is still
// undecided.
void Tape::decide_boundary(RegionId id) {
  const Region& region = graph_->region(id);
  const auto missing = [](const Value& value) {
    return value.fate == Fate::recompute || (value.fate == Fate::undecided && value.needed_to_rebuild);
  };
  for (NodeId n = region.last - 1; n >= region.first; --n) {
    const Node& node = graph_->node(n);
    const bool rebuilt = std::any_of(node.outputs.begin(), node.outputs.end(),
                                     [&](ValueId output) { return missing(graph_->value(output)); });
    if (!rebuilt) {
      continue;
    }
    for (const ValueId input : node.inputs) {
      Value& value = graph_->value(input);
      if (value.fate != Fate::undecided) {
        continue;
      }
      value.needed_to_rebuild = true;
      if (value.producer < region.first && value.data.defined()) {
        const Tensor data = value.data;
        ask_policy(input, data, id);
      }
    }
  }
  std::erase_if(held_until_close_, [&](ValueId held) {
    Value& value = graph_->value(held);
    const bool stays = value.fate == Fate::undecided && graph_->opaque_region(region.parent) != value.home;
    if (value.fate == Fate::undecided && !stays) {
      value.data = Tensor();
    }
    return !stays;
  });
}

RegionScope::~RegionScope() {
  if (tape_ != nullptr && !alive_.expired() && !tape_->region_closed(id_)) {
    tape_->abandon_regions_down_to(id_);
  }
}

void RegionScope::close() {
  require(!alive_.expired(), "[tape] region: expected a region of a live tape, got one whose tape has ended");
  tape_->close_region(id_);
}

bool Tape::region_closed(RegionId id) const {
  return graph_->region(id).last != kNone;
}

// A scope that goes closes what is open inside it too: an exception may be on its way out. What fails here (a store
// that is full) cannot be thrown from a destructor: it ends the tape, and the next use of the tape throws it.
void Tape::abandon_regions_down_to(RegionId id) noexcept {
  try {
    while (open_region_ != id) {
      close_region(open_region_);
    }
    close_region(id);
  } catch (...) {
    failure_ = std::current_exception();
    end();
  }
}

int Tape::depth() const {
  require_alive("depth");
  return graph_->region(open_region_).depth;
}

int Tape::region_count() const {
  require_alive("region");
  return static_cast<int>(graph_->regions.size()) - 1;
}

}  // namespace retape::nn
