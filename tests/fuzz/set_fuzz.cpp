// What follows --set on the command line.
#include <vector>

#include "tests/fuzz/target.h"
#include "trainer/config_loader.h"
#include "trainer/config_writer.h"

using namespace retape;

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  return fuzz::try_to(bytes, size, [](std::string_view setting) {
    const trainer::Config config = trainer::load_config({}, std::vector<std::string>{std::string(setting)});
    const std::string written = trainer::to_toml(config);
    const trainer::Config again = trainer::load_config(fuzz::ScratchFile(written).path(), {});
    fuzz::require_property(trainer::to_toml(again) == written, "the settings in force can be read back");
  });
}
