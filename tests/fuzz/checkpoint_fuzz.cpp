// A checkpoint of a run whose checksums are made to fit, since the fuzzer could not find them.
#include <string>
#include <utility>

#include "tests/fuzz/target.h"
#include "tests/support/forged_checkpoint.h"
#include "trainer/config_loader.h"
#include "trainer/run/saved_data.h"
#include "trainer/run_state.h"

using namespace retape;

namespace {

void seal(fuzz::ScratchFile& file, std::size_t size) {
  const trainer::SafetensorsFile opened(file.path());
  const std::vector<std::uint64_t> sums = checksums_of(opened);
  const auto table = std::string_view(reinterpret_cast<const char*>(sums.data()), sums.size() * sizeof sums.front());
  if (!opened.tensors().empty() && std::cmp_equal(opened.tensors().back().bytes, table.size())) {
    file.overwrite(size - table.size(), table);
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  return fuzz::try_to(bytes, size, [](std::string_view contents) {
    fuzz::ScratchFile file(contents);
    seal(file, contents.size());
    const trainer::Checkpoint checkpoint(file.path());
    const trainer::Config config = trainer::load_config({}, std::vector<std::string>{"data.train=text"});
    const trainer::RunPosition position = trainer::saved_position(checkpoint);
    fuzz::require_property(position.step >= 0 && position.tokens >= position.step, "counts are counts");
    fuzz::require_property(trainer::saved_vocab(checkpoint) > 0, "a vocabulary has tokens");
    trainer::saved_tokenizer(checkpoint);
    trainer::sampler_state(checkpoint);
    trainer::changed_settings(checkpoint, config);
    trainer::changed_data(checkpoint, checkpoint.path(), {.fingerprint = data::Fingerprint()});
    trainer::require_can_go_on(checkpoint, config);
  });
}
