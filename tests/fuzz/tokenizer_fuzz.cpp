// A tokenizer's file.
#include <numeric>

#include "data/tokenizer.h"
#include "tests/fuzz/target.h"

using namespace retape;

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  return fuzz::try_to(bytes, size, [](std::string_view text) {
    const auto tokenizer = data::load_tokenizer(text, "tokenizer.json");
    fuzz::require_property(data::load_tokenizer(tokenizer->to_json(), "again")->to_json() == tokenizer->to_json(),
                           "what is written can be read back");
    std::vector<std::int32_t> ids(static_cast<std::size_t>(tokenizer->vocab_size()));
    std::iota(ids.begin(), ids.end(), 0);
    const std::vector<data::Token> again = tokenizer->encode(tokenizer->decode(ids));
    fuzz::require_property(std::vector<std::int32_t>(again.begin(), again.end()) == ids, "every id has its text");
  });
}
