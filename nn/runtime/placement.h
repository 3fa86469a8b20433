// Whether something is the same on all ranks that share one replica of the model.
#pragma once

#include <cstdint>

namespace retape::nn {

// Where a value lives in the tensor-parallel group: whole and the same on every rank, or another on each. Of a
// generator: what is drawn from it.
enum class Placement : std::uint8_t { replicated, shard };

}  // namespace retape::nn
