// A value in a CheckpointStore. Internal to checkpointing/stores.
#pragma once

#include <memory>
#include <string>

#include "checkpointing/stores/store_state.h"

namespace retape::checkpointing {

// Work of the side stream refers to the memory of its tensors, and to the tensors themselves, so it waits for them
// before it lets any go.
class StoredValue final : public nn::SavedValue {
 public:
  StoredValue(std::shared_ptr<StoreState> state, const nn::Tensor& value, const nn::ValueInfo& info);
  ~StoredValue() override;
  StoredValue(const StoredValue&) = delete;
  StoredValue& operator=(const StoredValue&) = delete;

  // Takes the value into the store. Once, before anything else.
  void save(const nn::Tensor& value);
  // Waits for the copy to the host, and lets its source go.
  void settle();

  nn::Tensor fetch() override;
  void prefetch() override;
  std::string_view place() const override;

 private:
  bool moves() const { return on_host_ || split_; }
  nn::Tensor cut(const nn::Tensor& value, nn::Tensor shard);
  nn::Tensor allocate(nn::Device& device, const nn::Shape& shape);
  void keep(nn::Tensor piece);
  bool send_to_host(const nn::Tensor& source);
  void start_fetch();
  nn::Tensor end_fetch();
  void finish_gather() noexcept;
  void finish_fetch() noexcept;

  std::shared_ptr<StoreState> state_;
  std::string name_;    // for messages
  std::string region_;  // that reads it, for the log
  nn::Shape shape_;
  nn::DType dtype_;
  bool split_ = false;    // the piece is this rank's part
  std::string label_;     // what the ranks compare before they gather it
  bool on_host_ = false;  // the piece lies on the host
  nn::Tensor piece_;      // what is kept

  nn::Tensor source_;  // of a copy to the host that may be under way
  Transfer leaving_;

  bool fetching_ = false;
  nn::Tensor whole_;  // what is being fetched; padded where it is split
  nn::Tensor part_;   // where in it the host's piece goes
  Transfer copying_;
  Transfer gathering_;
};

}  // namespace retape::checkpointing
