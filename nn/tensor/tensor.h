// A dense row-major array on a device.
//
// Copies of a Tensor share one Storage; its memory returns to the allocator when the last of them goes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "nn/runtime/device.h"
#include "nn/tensor/dtype.h"
#include "nn/tensor/shape.h"

namespace retape::nn {

// One block of an allocator, which must outlive it, or a view into another storage.
class Storage {
 public:
  Storage(Device& device, Bytes bytes, Tag tag);
  // A view of what lies from `offset` on. It keeps the whole alive, which alone is booked: retag does nothing here.
  // Throws ShapeError for an offset outside the whole.
  Storage(std::shared_ptr<Storage> whole, Bytes offset);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  Device& device() const { return *device_; }
  void* data() const { return data_; }
  // From data() to the end of the block.
  Bytes bytes() const { return whole_ == nullptr ? Allocator::size(block_) : whole_->bytes() - offset_; }
  Tag tag() const { return whole_ == nullptr ? Allocator::tag(block_) : whole_->tag(); }
  void retag(Tag tag) {
    if (block_ != nullptr) {
      device_->memory().retag(block_, tag);
    }
  }
  // How often note_write() was called; a view has the number of its whole. Whoever reads the contents twice sees from
  // it whether they are still the same.
  std::uint64_t version() const { return whole_ == nullptr ? version_ : whole_->version(); }
  void note_write() {
    if (whole_ != nullptr) {
      whole_->note_write();
    } else {
      ++version_;
    }
  }
  // Whether nobody else holds what a view looks into.
  bool sole() const { return whole_ == nullptr || (whole_.use_count() == 1 && whole_->sole()); }

 private:
  Device* device_;
  Allocator::Block* block_ = nullptr;  // null in a view
  std::shared_ptr<Storage> whole_;     // null unless a view
  Bytes offset_ = 0;
  std::uint64_t version_ = 0;
  void* data_;
};

class Tensor {
 public:
  Tensor() = default;  // undefined: no storage
  // Uninitialised memory.
  Tensor(Device& device, const Shape& shape, DType dtype, Tag tag);
  // A view of memory that others may share, of its beginning where it is larger; a null storage gives an undefined
  // tensor. Throws ShapeError where the memory is too small.
  Tensor(std::shared_ptr<Storage> storage, const Shape& shape, DType dtype);

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Elems elems() const { return shape_.elems(); }
  Bytes bytes() const { return elems() * size_of(dtype_); }
  const std::shared_ptr<Storage>& storage() const { return storage_; }
  Device& device() const { return storage_->device(); }
  // Whether no other Tensor shares the memory, so that it may be written in place.
  bool unique() const { return storage_.use_count() == 1 && storage_->sole(); }

  void* data() const { return storage_ == nullptr ? nullptr : storage_->data(); }
  template <class T>
  T* data_as() const {
    require_dtype(kDTypeOf<T>);
    return static_cast<T*>(data());
  }

  // The same memory under another shape of as many elements.
  Tensor reshaped(const Shape& shape) const;

  // Copies of the contents on the host. On meta the contents are zeros.
  template <class T>
  std::vector<T> to_host() const {
    require_dtype(kDTypeOf<T>);
    std::vector<T> values(static_cast<std::size_t>(elems()));
    device().copy_to_host(values.data(), data(), bytes());
    return values;
  }
  template <class T>
  void from_host(std::span<const T> values) {
    require_dtype(kDTypeOf<T>);
    require<ShapeError>(static_cast<Elems>(values.size()) == elems(), "[tensor] expected {} values for {}, got {}",
                        elems(), shape_.str(), values.size());
    note_write();
    device().copy_from_host(data(), values.data(), bytes());
  }
  void fill_zero();
  // Says that the contents are others now: for whoever writes them through data(). The functions above say it
  // themselves; an op that makes a tensor need not.
  void note_write() const { storage_->note_write(); }

 private:
  void require_dtype(DType dtype) const;

  std::shared_ptr<Storage> storage_;
  Shape shape_;
  DType dtype_ = DType::f32;
};

}  // namespace retape::nn
