// The tensors of a safetensors file with their bytes, all in memory.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "trainer/safetensors.h"

namespace retape {

inline std::string contents_of(const trainer::SafetensorsFile& file, const trainer::StoredTensor& tensor) {
  const std::vector<std::byte> bytes = file.read(tensor);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class TensorContents {
 public:
  TensorContents(const trainer::SafetensorsFile& file, std::span<const trainer::StoredTensor> tensors) {
    for (const trainer::StoredTensor& tensor : tensors) {
      bytes_.push_back(file.read(tensor));
      tensors_.push_back(
          {.name = tensor.name, .dtype = tensor.dtype, .shape = tensor.shape, .bytes = std::span(bytes_.back())});
    }
  }

  // Their bytes live as long as this object.
  const std::vector<trainer::NamedBytes>& tensors() const { return tensors_; }

 private:
  std::vector<std::vector<std::byte>> bytes_;
  std::vector<trainer::NamedBytes> tensors_;
};

}  // namespace retape
