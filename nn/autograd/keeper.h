// What the tape holds of each value: what the policy said of it, and what is held until that is known. Internal to
// nn/autograd.
#pragma once

#include <vector>

#include "nn/autograd/graph.h"
#include "nn/autograd/observer.h"

namespace retape::nn::detail {

class Keeper {
 public:
  // Both outlive it; the observer may be null.
  Keeper(Graph& graph, TapeObserver* observer) : graph_(graph), observer_(observer) {}

  // The value, whose contents are `data`, is an input of a node in the region `here`. Null policies keep everything.
  void note_use(ValueId id, const Tensor& data, RegionId here, const RetentionPolicy* policy);
  // The backward of `reader` reads the value.
  void note_read(ValueId id, const Tensor& data, NodeId reader, const RetentionPolicy* policy);
  // The region has all of its nodes: finds what the values that were let go inside it need from outside, and asks about
  // what is still undecided of that.
  void decide_boundary(RegionId id, const RetentionPolicy* policy);

 private:
  void ask(ValueId id, const Tensor& data, RegionId reader, const RetentionPolicy* policy);
  ValueInfo info_of(const Value& value, RegionId reader) const;

  Graph& graph_;
  TapeObserver* observer_;
  std::vector<ValueId> held_until_close_;  // undecided values from outside an open region
};

}  // namespace retape::nn::detail
