#include "checkpointing/stores/slab.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "nn/base/error.h"

namespace retape::checkpointing {
namespace {

constexpr Bytes kUnlimited = std::numeric_limits<Bytes>::max();

// In the slab.
Bytes block_bytes(Bytes bytes) {
  return round_up(std::max<Bytes>(bytes, 1), nn::Allocator::kAlignment);
}

}  // namespace

// What a tensor in the slab owns.
class Slab::Place {
 public:
  Place(std::shared_ptr<Slab> slab, Bytes offset) : slab_(std::move(slab)), offset_(offset) {}
  ~Place() {
    memory_.reset();
    slab_->give_back(offset_);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  void hold(std::shared_ptr<nn::Storage> memory) { memory_ = std::move(memory); }
  nn::Storage* memory() const { return memory_.get(); }

 private:
  std::shared_ptr<Slab> slab_;
  Bytes offset_;
  std::shared_ptr<nn::Storage> memory_;  // the slab's, or where it measures the tensor's own
};

std::shared_ptr<Slab> Slab::create(nn::Device& device, SlabSize size) {
  require<ConfigError>(size.number_checkpoints >= 0,
                       "[checkpointing] number_checkpoints: expected a number of at least 0, got {}",
                       size.number_checkpoints);
  require<ConfigError>(size.bytes >= 0, "[checkpointing] contiguous buffer: expected a size of at least 0, got {}",
                       size.bytes);
  return std::shared_ptr<Slab>(new Slab(device, size));
}

nn::Tensor Slab::allocate(const nn::Shape& shape, nn::DType dtype, std::string_view name) {
  const Bytes bytes = block_bytes(shape.elems() * nn::size_of(dtype));
  if (!places_) {
    open(bytes);
  }
  const std::optional<Bytes> offset = places_->take(bytes);
  if (!offset) {
    fail_full(bytes, name);
  }
  const auto place = std::make_shared<Place>(shared_from_this(), *offset);
  place->hold(measuring() ? std::make_shared<nn::Storage>(*device_, bytes, nn::Tag::checkpoints) : memory_);
  most_live_ = std::max(most_live_, places_->live());
  top_ = std::max(top_, *offset + bytes);
  // The storage that the tensor looks into is the slab's, but what it keeps alive is the place.
  const std::shared_ptr<nn::Storage> whole(place, place->memory());
  return {std::make_shared<nn::Storage>(whole, measuring() ? 0 : *offset), shape, dtype};
}

Bytes Slab::bytes_to_open(Bytes first_bytes) const {
  return measuring() || places_ ? 0 : capacity_for(block_bytes(first_bytes));
}

Bytes Slab::capacity_for(Bytes first_bytes) const {
  if (measuring()) {
    return kUnlimited;
  }
  require<ConfigError>(size_.number_checkpoints <= kUnlimited / first_bytes,
                       "[checkpointing] number_checkpoints = {}: no machine holds as many times {}",
                       size_.number_checkpoints, format_bytes(first_bytes));
  return size_.number_checkpoints > 0 ? size_.number_checkpoints * first_bytes
                                      : round_up(size_.bytes, nn::Allocator::kAlignment);
}

void Slab::open(Bytes first_bytes) {
  const Bytes capacity = capacity_for(first_bytes);
  if (!measuring()) {
    memory_ = std::make_shared<nn::Storage>(*device_, capacity, nn::Tag::checkpoints);
  }
  first_bytes_ = first_bytes;
  places_.emplace(capacity);
}

void Slab::give_back(Bytes offset) noexcept {
  places_->give_back(offset);
  if (resetting_ && places_->live() == 0) {
    let_go();
  }
}

void Slab::reset() {
  resetting_ = true;
  if (live() == 0) {
    let_go();
  }
}

void Slab::let_go() {
  places_.reset();
  memory_.reset();
  resetting_ = false;
}

void Slab::fail_full(Bytes bytes, std::string_view name) const {
  if (size_.number_checkpoints > 0) {
    fail(
        "[checkpointing] number_checkpoints = {}: the contiguous buffer of {} x {} is full; {} of {} does not fit; "
        "raise number_checkpoints, or leave it out to have it measured",
        size_.number_checkpoints, size_.number_checkpoints, format_bytes(first_bytes_), name, format_bytes(bytes));
  }
  fail("[checkpointing] contiguous buffer: the {} that were measured are full; {} of {} does not fit",
       format_bytes(capacity()), name, format_bytes(bytes));
}

}  // namespace retape::checkpointing
