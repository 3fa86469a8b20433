// Splitting a value that every rank of the tensor-parallel group holds: each keeps its part, and all gather it again.
#pragma once

#include <string_view>

#include "nn/autograd/retention.h"
#include "parallel/comm/group.h"

namespace retape::checkpointing {

// Rank r keeps elements [r n', (r + 1) n') of the flattened tensor, n' = ceil(n / P); what lies behind the end is zero.
// Replicated values of floating dtypes with at least P elements are split, all others kept whole.
class Partition {
 public:
  // Makes a duplicate of the group, whose collectives come in an order of their own. Collective.
  explicit Partition(const parallel::Group& group) : group_(group.duplicate()) {}

  // Whether the value is one to split. A shard is not: each rank has a part of its own already.
  bool splits(const nn::Tensor& value, nn::Placement placement) const;

  Elems shard_elems(Elems elems) const { return ceil_div(elems, group_.size()); }
  Elems padded_elems(Elems elems) const { return shard_elems(elems) * group_.size(); }

  // Fills `shard`, of shard_elems(whole.elems()) elements, with this rank's part.
  void cut(const nn::Tensor& whole, nn::Tensor& shard) const;
  // This rank's part of `padded`, of padded_elems() elements: a view.
  nn::Tensor own_part(const nn::Tensor& padded) const;
  // Fills `padded` with the parts of all ranks; `shard` may be this rank's part of it. Collective: throws CommError on
  // every rank where they gather values of different labels.
  void gather(const nn::Tensor& shard, nn::Tensor& padded, std::string_view label) const {
    group_.all_gather(shard, padded, label);
  }

  // Ends the job of all ranks: one of them has given up.
  void abort(std::string_view reason) const noexcept { group_.communicator().abort(reason); }

 private:
  parallel::Group group_;
};

}  // namespace retape::checkpointing
