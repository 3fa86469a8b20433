// The rows that an earlier part of a run left in its metrics.
#pragma once

#include <filesystem>
#include <string>

#include "trainer/run_state.h"

namespace retape::trainer {

struct EarlierRows {
  std::string kept;     // whole lines, in their order
  std::string missing;  // which are not there, in words; empty where none is
};

// Throws DataError, without waiting for anybody, where the folder's metrics cannot be read, or are no regular file but
// a link, say; and where they are not a run's, because there is none (run/settings_file.h) or they do not begin with a
// row, unless `force` gives such a file up.
void require_metrics_of_run(const std::filesystem::path& out_dir, bool force);

// The rows below the position that a run goes on from: those of steps before it, and evaluations up to it, without that
// one if it is due again. Each is there once; what a kill cut short is none. Rows follow each other from step 0, or
// from where a run went on ("resumed"); where others are missing, it is said. Throws as above.
EarlierRows read_earlier_rows(const std::filesystem::path& metrics, const RunPosition& position);

}  // namespace retape::trainer
