// Tokens: the first byte says in what form, the others are the file.
#include <array>

#include "data/dataset.h"
#include "data/windows.h"
#include "tests/fuzz/target.h"

using namespace retape;

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  constexpr std::array kFormats{data::FileFormat::kAuto, data::FileFormat::kText, data::FileFormat::kU16,
                                data::FileFormat::kLlmc};
  return fuzz::try_to(bytes, size, [&](std::string_view input) {
    const std::size_t form = input.empty() ? 0 : static_cast<unsigned char>(input.front());
    const fuzz::ScratchFile file(input.substr(input.empty() ? 0 : 1));
    constexpr std::int64_t kSeqLen = 4;
    const data::Dataset dataset = data::open_dataset({.train = {file.path().string()},
                                                      .val_fraction = (form & 8U) != 0 ? 0.5 : 0,
                                                      .format = kFormats.at(form % kFormats.size()),
                                                      .tokenizer = (form & 4U) != 0 ? "char" : "byte",
                                                      .vocab = (form & 16U) != 0 ? 300 : 0,
                                                      .seq_len = kSeqLen});
    data::Windows windows(dataset.train, 2, kSeqLen);
    for (data::Batch batch; windows.next(batch);) {
      for (const std::int32_t id : batch.inputs) {
        fuzz::require_property(id >= 0 && id < dataset.vocab, "an id is of the vocabulary");
      }
    }
  });
}
