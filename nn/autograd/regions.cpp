#include "nn/autograd/regions.h"

#include <utility>

#include "nn/base/error.h"

namespace retape::nn::detail {

Regions::Regions(Graph& graph, Keeper& keeper, const RetentionPolicy* policy, TapeObserver* observer)
    : graph_(graph), keeper_(keeper), observer_(observer), policies_{policy} {
  graph_.regions.push_back({.name = "", .parent = kNone, .depth = 0, .first = 0, .last = kNone});
}

RegionId Regions::open(std::string name, const RetentionPolicy* policy) {
  bool transparent = false;
  if (open_ == kRootRegion || open_ == group_) {
    transparent = enter_group(policy == nullptr).merged;
    ++layers_;
  }
  return open(std::move(name), layers_ - 1, transparent, policy);
}

// Goes on with the open group, or closes it and begins the next, as the tape's policy has it.
RegionGrouping Regions::enter_group(bool groupable) {
  const RetentionPolicy* policy = policies_.front();
  const RegionGrouping asked = groupable && policy != nullptr ? policy->grouping() : RegionGrouping{};
  const RegionGrouping grouping = asked.size > 1 ? asked : RegionGrouping{};
  if (group_members_ >= grouping.size) {
    leave_group();
  }
  if (open_ == kRootRegion && grouping.size > 1) {
    group_ = open(fmt::format("group.{}", layers_ / grouping.size), layers_, false, nullptr);
    group_members_ = 0;
  }
  ++group_members_;
  return grouping;
}

void Regions::leave_group() {
  if (open_ == group_) {
    close(std::exchange(group_, kNone));
  }
}

void Regions::enter_op() {
  leave_group();
  if (open_ == kRootRegion && std::exchange(came_from_region_, false) && policies_.front() != nullptr) {
    policies_.front()->left_regions();
  }
}

RegionId Regions::open(std::string name, int layer, bool transparent, const RetentionPolicy* policy) {
  const auto id = static_cast<RegionId>(graph_.regions.size());
  Region region{.name = std::move(name),
                .parent = open_,
                .depth = innermost().depth + 1,
                .layer = layer,
                .transparent = transparent,
                .first = static_cast<NodeId>(graph_.nodes.size()),
                .last = kNone};
  if (observer_ != nullptr) {
    observer_->on_boundary(region);  // may throw: nothing is open yet
  }
  policies_.push_back(policy != nullptr ? policy : policies_.back());
  graph_.regions.push_back(std::move(region));
  open_ = id;
  came_from_region_ = true;
  return id;
}

void Regions::close(RegionId id) {
  Region& region = graph_.region(id);
  require(region.last == kNone, "[tape] region {}: expected an open region, got one that is closed", region.name);
  require(id == open_, "[tape] region {}: expected inner region {} to be closed first", region.name, innermost().name);
  region.last = static_cast<NodeId>(graph_.nodes.size());
  const auto leave = [&] {
    open_ = region.parent;
    policies_.pop_back();
  };
  try {
    if (!region.transparent) {
      keeper_.decide_boundary(id, policy());
    }
    if (observer_ != nullptr) {
      observer_->on_boundary(region);
    }
  } catch (...) {
    leave();
    throw;
  }
  leave();
}

void Regions::close_with_inner(RegionId id) {
  while (open_ != id) {
    close(open_);
  }
  close(id);
}

}  // namespace retape::nn::detail
