// The communicator of a rank that is a thread.
#pragma once

#include <memory>
#include <utility>

#include "parallel/comm/communicator.h"
#include "parallel/comm/thread/meeting.h"

namespace retape::parallel {

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<Meeting> meeting, int rank) : meeting_(std::move(meeting)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return meeting_->size(); }

  void barrier() override;
  void all_gather(const void* send, void* receive, Bytes bytes) override;
  void broadcast(void* data, Bytes bytes, int root) override;
  void all_reduce_sum(float* values, Elems elems) override;
  void reduce_scatter_sum(const float* send, float* receive, Elems elems_per_rank) override;
  std::unique_ptr<Communicator> split(int color) override;
  void abort(std::string_view reason) noexcept override;

 private:
  // to = the sum over the ranks, in their order, of the floats at [begin, begin + elems) of what each opened.
  void add_opened(float* to, Elems begin, Elems elems) const noexcept;

  std::shared_ptr<Meeting> meeting_;
  int rank_;
};

}  // namespace retape::parallel
