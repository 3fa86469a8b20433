// What a store shares with its values. Internal to checkpointing/stores.
#pragma once

#include <memory>
#include <optional>

#include "checkpointing/stores/checkpoint_store.h"
#include "checkpointing/stores/host_space.h"
#include "checkpointing/stores/partition.h"
#include "checkpointing/stores/slab.h"
#include "checkpointing/stores/transfer_queue.h"

namespace retape::checkpointing {

class StoredValue;

class StoreState {
 public:
  StoreState(nn::Device& on, const parallel::Group& group, const StoreOptions& options, Warn warn);
  StoreState(const StoreState&) = delete;
  StoreState& operator=(const StoreState&) = delete;

  // Runs the task beside the computation; on meta, where there is nothing to move, not at all.
  TransferQueue::Ticket submit(TransferQueue::Task task) {
    return device.computes() ? queue.submit(std::move(task)) : TransferQueue::kNothing;
  }
  // Waits for the copy to the host that is under way, and lets its source go.
  void settle();
  void reset();
  void add_value() { ++values; }
  void remove_value() noexcept;
  void end_reset_if_idle() noexcept;

  nn::Device& device;
  std::optional<Partition> partition;  // none where it is off, or there is nobody to share with
  std::unique_ptr<HostSpace> host;     // null where it is off
  std::shared_ptr<Slab> slab;          // null where it is off; lies on the host where that is on
  StoredValue* leaving = nullptr;      // whose copy to the host is under way
  TransferLog log;
  Bytes partitioned_bytes = 0;
  Bytes offloaded_bytes = 0;
  std::int64_t values = 0;  // that exist
  std::int64_t splits = 0;  // values that were ever split: the last one's number
  bool resetting = false;   // the host's cached memory goes with the last value
  TransferQueue queue;      // goes first: its worker uses what is above
};

}  // namespace retape::checkpointing
