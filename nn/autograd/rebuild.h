// Rebuilds values that were let go. Internal to nn/autograd.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "nn/autograd/graph.h"
#include "nn/autograd/tape.h"

namespace retape::nn::detail {

class Rebuilder {
 public:
  Rebuilder(Context& context, Graph& graph, TapeStats& stats, TapeObserver* observer)
      : context_(context), graph_(graph), stats_(stats), observer_(observer) {}

  // Makes everything that the node's backward reads available as Value::data.
  void provide(NodeId node);
  // Lets go of what provide() brought and no node below `node` needs.
  void release_above(NodeId node);

 private:
  // What a planned node is to make again: a set of its outputs, in cheap ways or by running forward.
  struct Step {
    std::uint32_t outputs = 0;
    bool forward = false;
  };
  using Plan = std::map<NodeId, Step>;  // in recorded order

  Plan make_plan(NodeId node);
  void want_all(NodeId reader, const Reads& reads, Plan& plan, std::vector<ValueId>& pending);
  void want(ValueId id, NodeId reader, Plan& plan, std::vector<ValueId>& pending);
  void require_unwritten(ValueId id, const Tensor& data, NodeId reader) const;
  Reads sources(const Node& node, const Step& step) const;
  void count_uses(NodeId id, const Step& step);
  void execute(NodeId id, const Step& step, NodeId target);
  void make_outputs(Node& node, const Step& step);
  void bring(ValueId id, Tensor data);
  void let_go(ValueId id);
  void done_with(ValueId id, NodeId target);
  bool stays(ValueId id, NodeId node);
  bool pending(const Value& value, NodeId node) const;
  bool goes_missing(const Value& value, NodeId node) const;
  bool feeds_a_rebuild(ValueId id, NodeId node);

  Context& context_;
  Graph& graph_;
  TapeStats& stats_;
  TapeObserver* observer_;
  std::vector<bool> brought_;  // by value: rebuilt or fetched, and held by Value::data
  // Those by the node that reads them last, as long as backward is in one region; and those to look at after each node.
  // Some may have gone since.
  std::map<NodeId, std::vector<ValueId>> settled_;
  std::vector<ValueId> unsettled_;
  std::vector<int> uses_;  // by value: reads left in the plan that runs
  // Of feeds_a_rebuild(): the search that each value was last seen by, the present one, and what it has yet to follow.
  std::vector<std::int64_t> seen_;
  std::int64_t search_ = 0;
  std::vector<ValueId> to_follow_;
  NodeId target_ = kNone;  // whose backward the present plan is for
};

}  // namespace retape::nn::detail
