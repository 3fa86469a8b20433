// Ranks that hold tensors of the same model: collectives on tensors.
#pragma once

#include <memory>
#include <string_view>

#include "nn/tensor/tensor.h"
#include "parallel/comm/communicator.h"

namespace retape::parallel {

// Copies share the communicator, so they too belong to one thread at a time.
//
// Tensors on meta are checked and not moved. All functions throw CommError where the collective cannot complete, and
// where a planned communicator meets a tensor that computes.
class Group {
 public:
  explicit Group(std::shared_ptr<Communicator> communicator);
  static Group self();  // one rank

  int rank() const { return communicator_->rank(); }
  int size() const { return communicator_->size(); }

  // Gathers each rank's shard into `whole`, in rank order.
  //
  //   shard  any shape and dtype, the same on every rank
  //   whole  any shape of size() times as many elements, dtype of shard
  //   label  which value it is, where ranks could come to gather different ones of the same shape
  //
  // Throws ShapeError, on the ranks concerned, where whole does not fit its shard; CommError, on every rank, where the
  // shards or their labels differ.
  void all_gather(const nn::Tensor& shard, nn::Tensor& whole, std::string_view label = {}) const;

  // In place, added in rank order: the same bits on every rank in every run.
  //
  //   tensor  f32 | bf16, the latter summed in f32 and rounded once, with at most 1 MiB of communication memory
  //
  // Throws ShapeError for another dtype, OutOfMemory.
  void all_reduce_sum(nn::Tensor& tensor) const;

  void barrier() const { communicator_->barrier(); }

  // Throws CommError on every rank, naming the first rank that differs from rank 0 and both texts, unless all pass the
  // same text. For what ranks must agree on: a plan, settings. Has nobody to ask where the group is planned.
  void require_agreement(std::string_view what, std::string_view text) const;

  // The same ranks for another thread of each, whose collectives come in an order of their own. Collective.
  Group duplicate() const;

  // For raw bytes. Lives as long as any copy of the group.
  Communicator& communicator() const { return *communicator_; }

 private:
  void check_reachable(std::string_view place, const nn::Tensor& tensor) const;
  void all_reduce_bf16(nn::Tensor& tensor) const;

  std::shared_ptr<Communicator> communicator_;
};

}  // namespace retape::parallel
