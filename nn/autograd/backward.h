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
  std::vector<NodeId> find_first_needs(ValueId root) const;
  void list_stored(ValueId root);
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
  // A stored value that will be fetched.
  struct Stored {
    NodeId stretch;  // where backward enters the stretch of one region's nodes that the first to need it lies in
    NodeId need;     // that node
    ValueId value;
    auto operator<=>(const Stored&) const = default;
  };
  std::vector<Stored> stored_;  // soonest in front; how many are needed now, and were asked for:
  std::size_t reached_ = 0;
  std::size_t prefetched_ = 0;
  RegionId region_ = kRootRegion;  // of the node that is being differentiated
};

}  // namespace retape::nn::detail
