// Weights in a safetensors file.
#include "tests/fuzz/target.h"
#include "tests/support/tensor_contents.h"
#include "trainer/safetensors.h"

using namespace retape;

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  return fuzz::try_to(bytes, size, [](std::string_view contents) {
    const fuzz::ScratchFile scratch(contents);
    const trainer::SafetensorsFile file(scratch.path());
    std::size_t total = file.header().size();
    for (const trainer::StoredTensor& tensor : file.tensors()) {
      fuzz::require_property(&file.tensor(tensor.name) == &tensor, "a tensor is found by its name");
      total += static_cast<std::size_t>(tensor.bytes);
    }
    fuzz::require_property(total == contents.size(), "every byte belongs to one tensor");
    const TensorContents tensors(file, file.tensors());
    trainer::safetensors_header(scratch.path(), tensors.tensors(), file.metadata());
  });
}
