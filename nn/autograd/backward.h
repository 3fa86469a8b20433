// The backward pass over a recorded graph. Internal to nn/autograd.
#pragma once

#include <utility>
#include <vector>

#include "nn/autograd/graph.h"
#include "nn/autograd/rebuild.h"
#include "nn/autograd/tape.h"

namespace retape::nn::detail {

class Backward {
 public:
  Backward(Context& context, Graph& graph, TapeStats& stats)
      : context_(context), graph_(graph), rebuilder_(context, graph, stats) {}

  void run(ValueId loss, const BackwardOptions& options);

 private:
  void find_horizons();
  void list_releases();
  void differentiate(NodeId id);
  void release_kept(NodeId id);

  Context& context_;
  Graph& graph_;
  Rebuilder rebuilder_;
  std::vector<std::pair<NodeId, ValueId>>
      releases_;  // kept values by the node that reads them last, soonest at the back
};

}  // namespace retape::nn::detail
