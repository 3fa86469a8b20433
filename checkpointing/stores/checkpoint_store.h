// Where activation checkpoints are kept. Three things can happen to a value, in this order:
//
//   partition   each rank of the tensor-parallel group keeps a part of it; fetching gathers the parts. A shard is not
//               divided again: what follows takes it whole
//   contiguous  it lies in one slab, on the device or on the host, whose memory is the same in every step
//   host        it lies in host memory; copies run beside the computation, both ways
//
// What comes back has the bits that were saved. Memory is allocated and freed on the calling thread only, at points
// that do not depend on timing, and on meta at the same points: the source of a copy to the host goes at the store's
// next save, prefetch, fetch or settle, or with its value, whichever is first.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "checkpointing/stores/transfer_log.h"
#include "nn/autograd/retention.h"
#include "parallel/comm/group.h"

namespace retape::checkpointing {

class StoreState;

struct StoreOptions {
  bool partition = false;
  bool contiguous = false;
  bool host = false;
  std::int64_t number_checkpoints = 0;  // the slab holds this many times its first tensor; 0 leaves it to slab_bytes
  Bytes slab_bytes = 0;                 // both 0 with contiguous: measures how large a slab would have to be
  std::optional<Bytes> host_limit = std::nullopt;  // of host memory
};

struct StoreStats {
  Bytes partitioned = 0;      // held by the other ranks instead of this one, now
  Bytes host_live = 0;        // on the host, now
  Bytes host_peak = 0;        // the most since reset_stats()
  Bytes slab_bytes = 0;       // size of the slab; 0 while there is none
  Bytes slab_live = 0;        // of it in use, now
  Bytes slab_most_live = 0;   // the most ever
  Bytes slab_top = 0;         // how large the slab had to be: slab_most_live where nothing was lost to gaps
  Bytes offloaded_bytes = 0;  // copied to the host since reset_stats()
};

// Belongs to one rank and its thread. Several may exist. Values outlive their store; the device outlives both.
class CheckpointStore final : public nn::SavedStore {
 public:
  // Collective over `group` where that is to be partitioned over. `warn` is told once when host memory is exhausted and
  // values stay on the device instead. Throws ConfigError for negative sizes.
  CheckpointStore(nn::Device& device, const parallel::Group& group, const StoreOptions& options,
                  std::function<void(const std::string&)> warn);
  ~CheckpointStore() override;

  // Throws Error for a value that the slab has no room for; OutOfMemory of the device; what a transfer threw that this
  // call waited for. Where values are partitioned every rank must save, prefetch and fetch the same ones in the same
  // order: ranks that come to gather different ones all throw CommError in fetch, and after a step that they did not
  // record alike they need new stores.
  std::unique_ptr<nn::SavedValue> save(nn::Tensor value, const nn::ValueInfo& info) override;

  // Lets the slab and the host's cached memory go, as soon as no value uses them.
  void reset();
  // Waits for the copy to the host that is under way, if any, and lets its source go: for the end of the last region,
  // after which no save comes. Throws what the copy threw.
  void settle();
  // The same for all transfers.
  void synchronize();

  StoreStats stats() const;
  void reset_stats();
  // The accounts of the host memory; all zero where `host` is off.
  nn::MemoryStats host_memory() const;
  TransferLog& log();

 private:
  std::shared_ptr<StoreState> state_;
};

}  // namespace retape::checkpointing
