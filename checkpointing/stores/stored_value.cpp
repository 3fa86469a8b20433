#include "checkpointing/stores/stored_value.h"

#include <exception>
#include <utility>

namespace retape::checkpointing {
namespace {

// How long a rank that fails waits for the others to complete a gather before it ends the job.
constexpr std::chrono::seconds kPatience{2};

std::string full_name(const nn::ValueInfo& info) {
  return info.reader == nullptr ? std::string(info.name) : fmt::format("{}: {}", info.reader->name, info.name);
}

// Whether an exception is on its way, or being handled.
bool failing() noexcept {
  return std::uncaught_exceptions() > 0 || std::current_exception() != nullptr;
}

}  // namespace

StoredValue::StoredValue(std::shared_ptr<StoreState> state, const nn::Tensor& value, const nn::ValueInfo& info)
    : state_(std::move(state)),
      name_(full_name(info)),
      region_(info.reader == nullptr ? std::string() : info.reader->name),
      shape_(value.shape()),
      dtype_(value.dtype()),
      split_(state_->partition && state_->partition->splits(value, info.placement)) {
  if (split_) {
    // The number tells values of one name apart: those of several steps, or of regions that are named alike.
    label_ = fmt::format("{}, number {}", name_, ++state_->splits);
  }
  state_->add_value();
}

StoredValue::~StoredValue() {
  if (state_->leaving == this) {
    state_->leaving = nullptr;
  }
  leaving_.end.finish();
  finish_fetch();
  source_ = nn::Tensor();
  if (split_ && piece_.defined()) {
    state_->partitioned_bytes -= shape_.elems() * nn::size_of(dtype_) - piece_.bytes();
  }
  piece_ = nn::Tensor();
  state_->remove_value();
}

void StoredValue::save(const nn::Tensor& value) {
  nn::Device& device = state_->device;
  if (state_->host != nullptr) {
    // The part is cut on the device, so that the whole may go at once and only the part waits for its copy.
    nn::Tensor source = split_ ? cut(value, nn::Tensor(device, {state_->partition->shard_elems(value.elems())}, dtype_,
                                                       nn::Tag::checkpoints))
                               : value;
    if (!send_to_host(source)) {
      keep(std::move(source));
    }
  } else if (split_) {
    keep(cut(value, allocate(device, {state_->partition->shard_elems(value.elems())})));
  } else if (state_->slab != nullptr) {
    keep(allocate(device, shape_));
    device.copy(piece_.data(), value.data(), value.bytes());
  } else {
    keep(value);
  }
  if (split_) {
    state_->partitioned_bytes += value.bytes() - piece_.bytes();
  }
}

nn::Tensor StoredValue::cut(const nn::Tensor& value, nn::Tensor shard) {
  state_->partition->cut(value, shard);
  return shard;
}

nn::Tensor StoredValue::allocate(nn::Device& device, const nn::Shape& shape) {
  return state_->slab != nullptr ? state_->slab->allocate(shape, dtype_, name_)
                                 : nn::Tensor(device, shape, dtype_, nn::Tag::checkpoints);
}

// On the device.
void StoredValue::keep(nn::Tensor piece) {
  piece_ = std::move(piece);
  if (piece_.storage()->tag() == nn::Tag::activations) {
    piece_.storage()->retag(nn::Tag::checkpoints);
  }
}

// False where the host has no room.
bool StoredValue::send_to_host(const nn::Tensor& source) {
  HostSpace& host = *state_->host;
  HostRequest request{.what = name_, .bytes = source.bytes(), .value = name_};
  const Bytes slab_bytes = state_->slab == nullptr ? 0 : state_->slab->bytes_to_open(source.bytes());
  if (slab_bytes > 0) {
    request.what = "the contiguous buffer";
    request.bytes = slab_bytes;
  }
  piece_ = host.try_allocate([&] { return allocate(host.device(), source.shape()); }, request);
  if (!piece_.defined()) {
    return false;
  }
  on_host_ = true;
  source_ = source;
  leaving_ = state_->start([this](nn::Stream& stream) { stream.copy(piece_.data(), source_.data(), source_.bytes()); });
  state_->leaving = this;
  state_->offloaded_bytes += source_.bytes();
  state_->log.book_offloaded(region_, source_.bytes());
  return true;
}

void StoredValue::settle() {
  const nn::Tensor source = std::move(source_);  // goes even where the copy failed
  const Transfer leaving = std::exchange(leaving_, {});
  state_->device.compute().wait(leaving.end);
  state_->log.book_copy(region_, leaving.time());
}

void StoredValue::prefetch() {
  state_->settle();
  if (moves() && !fetching_) {
    start_fetch();
  }
}

nn::Tensor StoredValue::fetch() {
  state_->settle();
  if (!moves()) {
    return piece_;
  }
  if (!fetching_) {
    start_fetch();
  }
  return end_fetch();
}

void StoredValue::start_fetch() {
  finish_fetch();  // of a start that failed half way
  const nn::Shape padded = split_ ? nn::Shape{state_->partition->padded_elems(shape_.elems())} : shape_;
  whole_ = nn::Tensor(state_->device, padded, dtype_, nn::Tag::recompute);
  if (on_host_) {
    part_ = split_ ? state_->partition->own_part(whole_) : whole_;
    copying_ = state_->start([this](nn::Stream& stream) { stream.copy(part_.data(), piece_.data(), piece_.bytes()); });
  }
  if (split_) {
    gathering_ = state_->start([this](nn::Stream& stream) {
      stream.run([partition = &*state_->partition, part = on_host_ ? &part_ : &piece_, whole = &whole_,
                  label = &label_] { partition->gather(*part, *whole, *label); });
    });
  }
  fetching_ = true;
}

nn::Tensor StoredValue::end_fetch() {
  try {
    state_->device.compute().wait(copying_.end);
    state_->log.book_copy(region_, copying_.time());
    state_->device.compute().wait(gathering_.end);
    state_->log.book_gather(region_, gathering_.time());
  } catch (...) {
    finish_fetch();
    throw;
  }
  nn::Tensor fetched(whole_.storage(), shape_, dtype_);  // the padding behind it is not looked at
  finish_fetch();
  return fetched;
}

// Where this rank fails, the others may never come to a gather that it has prefetched. Nobody is to wait for ever.
void StoredValue::finish_gather() noexcept {
  if (failing() && !gathering_.end.is_reached_within(kPatience)) {
    state_->partition->abort("it failed while a gather of saved values was under way");
  }
  gathering_.end.finish();
  gathering_ = {};
}

void StoredValue::finish_fetch() noexcept {
  copying_.end.finish();
  copying_ = {};
  finish_gather();
  part_ = nn::Tensor();
  whole_ = nn::Tensor();
  fetching_ = false;
}

std::string_view StoredValue::place() const {
  if (on_host_) {
    return split_ ? "partitioned, offloaded" : "offloaded";
  }
  if (state_->slab != nullptr && state_->host == nullptr) {
    return split_ ? "partitioned, contiguous" : "contiguous";
  }
  return split_ ? "partitioned" : "in place";
}

}  // namespace retape::checkpointing
