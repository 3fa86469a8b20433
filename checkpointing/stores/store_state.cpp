#include "checkpointing/stores/store_state.h"

#include <utility>

#include "checkpointing/stores/stored_value.h"

namespace retape::checkpointing {

StoreState::StoreState(nn::Device& on, const parallel::Group& group, const StoreOptions& options, Warn warn)
    : device(on), side(device.open_stream()) {
  if (options.partition && group.size() > 1) {
    partition.emplace(group);
  }
  if (options.host) {
    host = std::make_unique<HostSpace>(device, options.host_limit, std::move(warn));
  }
  if (options.contiguous) {
    slab = Slab::create(host == nullptr ? device : host->device(), {options.number_checkpoints, options.slab_bytes});
  }
}

void StoreState::settle() {
  if (StoredValue* value = std::exchange(leaving, nullptr)) {
    value->settle();
  }
}

void StoreState::reset() {
  if (slab != nullptr) {
    slab->reset();
  }
  resetting = true;
  end_reset_if_idle();
}

void StoreState::remove_value() noexcept {
  --values;
  end_reset_if_idle();
}

void StoreState::end_reset_if_idle() noexcept {
  if (values == 0 && std::exchange(resetting, false) && host != nullptr) {
    host->device().memory().release_cached();
  }
}

}  // namespace retape::checkpointing
