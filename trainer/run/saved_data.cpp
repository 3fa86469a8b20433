#include "trainer/run/saved_data.h"

#include "nn/base/error.h"
#include "trainer/run/saved_values.h"

namespace retape::trainer {
namespace {

bool says_nothing(const Checkpoint& checkpoint) {
  return !checkpoint.state().contains(kSavedData);
}

// As data::difference() says it.
std::string difference(const Checkpoint& checkpoint, const data::Dataset& dataset) {
  const std::string& saved = saved_text(checkpoint, kSavedData);
  try {
    return data::difference(data::fingerprint_from_json(saved), dataset.fingerprint.value());
  } catch (const DataError& error) {
    fail<DataError>("[checkpoint] {}: state \"{}\": {}", checkpoint.path().string(), kSavedData, error.what());
  }
}

}  // namespace

void require_same_data(const Checkpoint& checkpoint, const Config& config, const data::Dataset& dataset) {
  if (config.data.allow_change || says_nothing(checkpoint)) {
    return;
  }
  const std::string change = difference(checkpoint, dataset);
  require<DataError>(change.empty(), "[data] {}; data.allow_change=true goes on with what is there", change);
}

std::string changed_data(const Checkpoint& checkpoint, const std::filesystem::path& path,
                         const data::Dataset& dataset) {
  if (says_nothing(checkpoint)) {
    return fmt::format(
        "{} does not say what tokens it was trained on, so that nobody can tell whether they have changed",
        path.string());
  }
  const std::string change = difference(checkpoint, dataset);
  return change.empty() ? change : fmt::format("data.allow_change: {}", change);
}

}  // namespace retape::trainer
