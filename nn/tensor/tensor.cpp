#include "nn/tensor/tensor.h"

namespace retape::nn {

Storage::Storage(Device& device, Bytes bytes, Tag tag)
    : device_(&device), block_(device.memory().allocate(bytes, tag)) {}

Storage::~Storage() {
  device_->memory().free(block_);
}

Tensor::Tensor(Device& device, const Shape& shape, DType dtype, Tag tag)
    : storage_(std::make_shared<Storage>(device, shape.elems() * size_of(dtype), tag)), shape_(shape), dtype_(dtype) {}

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
