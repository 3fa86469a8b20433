#include "checkpointing/stores/checkpoint_store.h"

#include <utility>

#include "checkpointing/stores/stored_value.h"

namespace retape::checkpointing {

CheckpointStore::CheckpointStore(nn::Device& device, const parallel::Group& group, const StoreOptions& options,
                                 std::function<void(const std::string&)> warn)
    : state_(std::make_shared<StoreState>(device, group, options, std::move(warn))) {}

CheckpointStore::~CheckpointStore() = default;

std::unique_ptr<nn::SavedValue> CheckpointStore::save(nn::Tensor value, const nn::ValueInfo& info) {
  state_->settle();
  auto saved = std::make_unique<StoredValue>(state_, value, info);
  saved->save(value);
  return saved;
}

void CheckpointStore::reset() {
  state_->reset();
}

void CheckpointStore::settle() {
  state_->settle();
}

void CheckpointStore::synchronize() {
  state_->settle();
  state_->side->record().synchronize();
}

StoreStats CheckpointStore::stats() const {
  const nn::MemoryStats host = host_memory();
  StoreStats stats{.partitioned = state_->partitioned_bytes,
                   .host_live = host.live,
                   .host_peak = host.peak,
                   .offloaded_bytes = state_->offloaded_bytes};
  if (const Slab* slab = state_->slab.get()) {
    stats.slab_bytes = slab->capacity();
    stats.slab_live = slab->live();
    stats.slab_most_live = slab->most_live();
    stats.slab_top = slab->top();
  }
  return stats;
}

void CheckpointStore::reset_stats() {
  state_->offloaded_bytes = 0;
  if (state_->host != nullptr) {
    state_->host->device().memory().reset_peaks();
  }
}

nn::MemoryStats CheckpointStore::host_memory() const {
  return state_->host == nullptr ? nn::MemoryStats{} : state_->host->stats();
}

TransferLog& CheckpointStore::log() {
  return state_->log;
}

}  // namespace retape::checkpointing
