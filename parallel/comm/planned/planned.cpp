#include "parallel/comm/arguments.h"
#include "parallel/comm/communicator.h"

namespace retape::parallel {
namespace {

class PlannedCommunicator final : public Communicator {
 public:
  PlannedCommunicator(int rank, int size) : rank_(rank), size_(size) {}

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  bool planned() const override { return true; }

  void barrier() override {}
  void all_gather(const void* /*send*/, void* /*receive*/, Bytes bytes) override { check_count("all_gather", bytes); }
  void broadcast(void* /*data*/, Bytes bytes, int root) override {
    check_count("broadcast", bytes);
    check_root(root, size_);
  }
  void all_reduce_sum(float* /*values*/, Elems elems) override { check_count("all_reduce_sum", elems); }
  void reduce_scatter_sum(const float* /*send*/, float* /*receive*/, Elems elems_per_rank) override {
    check_count("reduce_scatter_sum", elems_per_rank);
  }

  std::unique_ptr<Communicator> split(int /*color*/) override { return open_planned(rank_, size_); }
  void abort(std::string_view /*reason*/) noexcept override {}

 private:
  int rank_;
  int size_;
};

}  // namespace

std::unique_ptr<Communicator> open_planned(int rank, int size) {
  require<ConfigError>(0 <= rank && rank < size, "[comm] planned rank: expected 0 to {}, got {}", size - 1, rank);
  return std::make_unique<PlannedCommunicator>(rank, size);
}

}  // namespace retape::parallel
