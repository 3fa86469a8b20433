#include "nn/tensor/tensor.h"

#include <cstddef>

namespace retape::nn {

Storage::Storage(Device& device, Bytes bytes, Tag tag)
    : device_(&device), block_(device.memory().allocate(bytes, tag)), data_(Allocator::address(block_)) {}

Storage::Storage(std::shared_ptr<Storage> whole, Bytes offset)
    : device_(&whole->device()), whole_(std::move(whole)), offset_(offset), data_(nullptr) {
  require<ShapeError>(0 <= offset && offset <= whole_->bytes(), "[storage] view: expected an offset of 0 to {}, got {}",
                      whole_->bytes(), offset);
  data_ = static_cast<std::byte*>(whole_->data()) + offset;
}

Storage::~Storage() {
  if (block_ != nullptr) {
    device_->memory().free(block_);
  }
}

Tensor::Tensor(Device& device, const Shape& shape, DType dtype, Tag tag)
    : storage_(std::make_shared<Storage>(device, shape.elems() * size_of(dtype), tag)), shape_(shape), dtype_(dtype) {}

Tensor::Tensor(std::shared_ptr<Storage> storage, const Shape& shape, DType dtype)
    : storage_(std::move(storage)), shape_(shape), dtype_(dtype) {
  if (storage_ != nullptr && bytes() > storage_->bytes()) {
    fail<ShapeError>("[tensor] {} {}: expected at least {} bytes of memory, got {}", name(dtype), shape.str(), bytes(),
                     storage_->bytes());
  }
}

void Tensor::fill_zero() {
  require<ShapeError>(defined(), "[tensor] fill_zero: expected memory, got an undefined tensor");
  note_write();
  device().fill_zero(data(), bytes());
}

Tensor Tensor::reshaped(const Shape& shape) const {
  require<ShapeError>(shape.elems() == elems(), "[reshape] expected {} elements, got {}", elems(), shape.str());
  Tensor result = *this;
  result.shape_ = shape;
  return result;
}

void Tensor::require_dtype(DType dtype) const {
  require<ShapeError>(defined(), "[tensor] expected {} data, got an undefined tensor", name(dtype));
  require<ShapeError>(dtype == dtype_, "[tensor] expected {}, got {}", name(dtype), name(dtype_));
}

}  // namespace retape::nn
