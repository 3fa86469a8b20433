// What a store shares with its values. Internal to checkpointing/stores.
#pragma once

#include <memory>
#include <optional>

#include "checkpointing/stores/checkpoint_store.h"
#include "checkpointing/stores/host_space.h"
#include "checkpointing/stores/partition.h"
#include "checkpointing/stores/slab.h"

namespace retape::checkpointing {

class StoredValue;

class StoreState {
 public:
  StoreState(nn::Device& on, const parallel::Group& group, const StoreOptions& options, Warn warn);
  StoreState(const StoreState&) = delete;
  StoreState& operator=(const StoreState&) = delete;

  // What `enqueue` gives a side stream, from the point where the computation is now: of memory that was just allocated.
  template <class Enqueue>
  Transfer start(const Enqueue& enqueue) {
    side->wait(device.compute().record());
    Transfer transfer{.begin = side->record(), .end = {}};
    enqueue(*side);
    transfer.end = side->record();
    return transfer;
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
  std::int64_t values = 0;           // that exist
  std::int64_t splits = 0;           // values that were ever split: the last one's number
  bool resetting = false;            // the host's cached memory goes with the last value
  std::unique_ptr<nn::Stream> side;  // goes first: its work uses what is above
};

}  // namespace retape::checkpointing
