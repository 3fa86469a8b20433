// Which regions of a tape are open, how the outermost are grouped, and which policy is in force. Internal to
// nn/autograd.
#pragma once

#include <string>
#include <vector>

#include "nn/autograd/keeper.h"

namespace retape::nn::detail {

class Regions {
 public:
  // All outlive it; policy and observer, those of the tape, may be null. The root region is open.
  Regions(Graph& graph, Keeper& keeper, const RetentionPolicy* policy, TapeObserver* observer);

  // The region that the next node belongs to.
  RegionId here() const { return graph_.opaque_region(open_); }
  const Region& innermost() const { return graph_.region(open_); }
  const RetentionPolicy* policy() const { return policies_.back(); }

  // Opens one of the model's, where it is an outermost one in the group that it belongs to. A policy takes the place of
  // the one in force.
  RegionId open(std::string name, const RetentionPolicy* policy);
  // Throws Error where it is closed already or a region inside it is open.
  void close(RegionId id);
  // Closes it with all that is open inside it.
  void close_with_inner(RegionId id);
  bool is_closed(RegionId id) const { return graph_.region(id).last != kNone; }

  // What follows is of no group's members: an open group closes.
  void leave_group();
  // An op follows: tells the tape's policy where it is the first outside all regions that follows one.
  void enter_op();

 private:
  RegionId open(std::string name, int layer, bool transparent, const RetentionPolicy* policy);
  RegionGrouping enter_group(bool groupable);

  Graph& graph_;
  Keeper& keeper_;
  TapeObserver* observer_;
  std::vector<const RetentionPolicy*> policies_;  // in force, innermost last
  RegionId open_ = kRootRegion;
  bool came_from_region_ = false;  // one has been opened since the last op outside all of them
  int layers_ = 0;                 // outermost regions that the model has opened
  RegionId group_ = kNone;         // the open group of outermost regions, and how many it has
  int group_members_ = 0;
};

}  // namespace retape::nn::detail
