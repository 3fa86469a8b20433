#include "checkpointing/stores/partition.h"

#include <algorithm>
#include <cstddef>
#include <memory>

namespace retape::checkpointing {

bool Partition::splits(const nn::Tensor& value, nn::Placement placement) const {
  return placement == nn::Placement::replicated && value.dtype() != nn::DType::i32 && value.elems() >= group_.size();
}

void Partition::cut(const nn::Tensor& whole, nn::Tensor& shard) const {
  const Elems begin = std::min(group_.rank() * shard.elems(), whole.elems());
  const Elems end = std::min(begin + shard.elems(), whole.elems());
  const Bytes size = nn::size_of(whole.dtype());
  nn::Device& device = whole.device();
  auto* const to = static_cast<std::byte*>(shard.data());
  device.copy(to, static_cast<const std::byte*>(whole.data()) + begin * size, (end - begin) * size);
  device.fill_zero(to + (end - begin) * size, shard.bytes() - (end - begin) * size);
}

nn::Tensor Partition::own_part(const nn::Tensor& padded) const {
  const Elems elems = padded.elems() / group_.size();
  const Bytes offset = group_.rank() * elems * nn::size_of(padded.dtype());
  return {std::make_shared<nn::Storage>(padded.storage(), offset), {elems}, padded.dtype()};
}

}  // namespace retape::checkpointing
