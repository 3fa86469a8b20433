// A DeepSpeed configuration.
#include <optional>

#include "checkpointing/settings.h"
#include "data/files/json.h"
#include "tests/fuzz/target.h"

using namespace retape;

namespace {

std::optional<nlohmann::json> as_json(std::string_view text) {
  try {
    return data::parse_json(text, "a");
  } catch (const DataError&) {
    return std::nullopt;
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  return fuzz::try_to(bytes, size, [](std::string_view text) {
    const std::optional<nlohmann::json> json = as_json(text);
    if (json && json->is_structured()) {
      fuzz::require_property(data::parse_hjson(text, "a") == *json, "JSON is Hjson");
    }
    const fuzz::ScratchFile file(text);
    checkpointing::read_deepspeed_config(file.path());
    checkpointing::has_deepspeed_section(file.path());
  });
}
