// Writes a file that has its mark beside it (data/files/output_mark.h).
#pragma once

#include <string_view>

#include "data/atomic_file.h"

namespace retape::data {

// Writes the mark of the file as it is now. Both are on disk then, under their temporary names.
void write_mark(AtomicFile& mark, AtomicFile& file, std::string_view command);

// Commits the file and its mark. The mark comes first: a kill between the two leaves a former file that is no longer
// taken for the command's, and nothing is lost by that.
void commit_with_mark(AtomicFile& file, std::string_view command);

}  // namespace retape::data
