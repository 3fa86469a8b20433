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
  Backward(Context& context, Graph& graph, TapeStats& stats, TapeObserver* observer)
      : context_(context), graph_(graph), observer_(observer), rebuilder_(context, graph, stats, observer) {}

  // `dy` is the gradient of the root, which must be a scalar where it is undefined.
  void run(ValueId root, Tensor dy, const BackwardOptions& options);

 private:
  void seed(ValueId root, Tensor dy, float scalar);
  void find_horizons();
  void list_releases();
  void list_stored();
  void prefetch(NodeId id);
  void cross_boundary(NodeId id);
  void differentiate(NodeId id);
  void release_kept(NodeId id);

  Context& context_;
  Graph& graph_;
  TapeObserver* observer_;
  Rebuilder rebuilder_;
  std::vector<std::pair<NodeId, ValueId>>
      releases_;  // kept values by the node that reads them last, soonest at the back
  // Stored values by the node that may need them first, soonest in front; how many are needed now, and were asked for.
  std::vector<std::pair<NodeId, ValueId>> stored_;
  std::size_t reached_ = 0;
  std::size_t prefetched_ = 0;
  RegionId region_ = kRootRegion;  // of the node that is being differentiated
};

}  // namespace retape::nn::detail
